/*
 * Watchers of one and the same key, or of one and the same interval, stand in a ring through their
 * links. The map (single keys) and the tree (intervals) point at one of the ring, its first: so a
 * watcher of a key of its own costs a map slot and nothing else.
 *
 * The tree is a treap ordered by (key, end); each node knows the node with the greatest end below
 * it, which lets a search skip whatever ends too early. Priorities come from the seed: the shape is
 * the same in every run and nothing a client can choose.
 */
#include "etcd/watch.h"

#include "base/map.h"
#include "base/rng.h"

/* One interval, in the tree. */
struct span {
    struct span *left, *right;
    struct span *last; /* of this subtree, the one that ends last */
    struct watch_key *first;
    uint64_t priority;
};

struct watch_index {
    struct map keys; /* key -> first of its ring */
    struct span *root;
    struct rng rng;
    size_t n;
};

struct watch_index *watch_index_new(const uint64_t seed[2])
{
    struct watch_index *w = xcalloc(1, sizeof *w);

    map_init(&w->keys, seed);
    rng_seed(&w->rng, seed[0] ^ seed[1]);
    return w;
}

void watch_index_free(struct watch_index *w)
{
    if (!w)
        return;
    assert(w->n == 0 && !w->root && map_count(&w->keys) == 0);
    map_deinit(&w->keys);
    free(w);
}

size_t watch_index_count(const struct watch_index *w)
{
    return w->n;
}

/* --- keys and ends --- */

static bool is_single(const struct watch_key *k)
{
    return k->end.n == 0;
}

static bool is_open(struct slice end)
{
    return end.n == 1 && end.p[0] == 0;
}

/* An open end is after every other. */
static int end_cmp(struct slice a, struct slice b)
{
    if (is_open(a) || is_open(b))
        return is_open(a) - is_open(b);
    return slice_cmp(a, b);
}

static bool ends_after(const struct watch_key *k, struct slice key)
{
    return is_open(k->end) || slice_cmp(k->end, key) > 0;
}

static int interval_cmp(const struct watch_key *a, const struct watch_key *b)
{
    int c = slice_cmp(a->key, b->key);

    return c ? c : end_cmp(a->end, b->end);
}

bool watch_key_holds(const struct watch_key *k, struct slice key)
{
    if (is_single(k))
        return slice_eq(k->key, key);
    return slice_cmp(k->key, key) <= 0 && ends_after(k, key);
}

/* --- rings --- */

static struct watch_key *ring_next(const struct watch_key *k)
{
    return container_of(k->link.next, struct watch_key, link);
}

static void ring_each(struct watch_key *first, void (*each)(void *ctx, struct watch_key *k),
                      void *ctx)
{
    struct watch_key *k = first;

    do {
        each(ctx, k);
        k = ring_next(k);
    } while (k != first);
}

/* --- the tree --- */

/* Finds out a node's last anew, after its children changed. */
static void update(struct span *s)
{
    struct span *below[] = {s->left, s->right};

    s->last = s;
    for (size_t i = 0; i < ARRAY_LEN(below); i++) {
        if (below[i] && end_cmp(below[i]->last->first->end, s->last->first->end) > 0)
            s->last = below[i]->last;
    }
}

/* Nodes below k to *left, the others to *right. */
static void split(struct span *s, const struct watch_key *k, struct span **left,
                  struct span **right)
{
    if (!s) {
        *left = *right = NULL;
    } else if (interval_cmp(s->first, k) < 0) {
        split(s->right, k, &s->right, right);
        *left = s;
        update(s);
    } else {
        split(s->left, k, left, &s->left);
        *right = s;
        update(s);
    }
}

/* Every node of left is below every one of right. */
static struct span *merge(struct span *left, struct span *right)
{
    if (!left || !right)
        return left ? left : right;
    struct span *top = left->priority > right->priority ? left : right;
    if (top == left)
        left->right = merge(left->right, right);
    else
        right->left = merge(left, right->left);
    update(top);
    return top;
}

static void tree_insert(struct span **s, struct span *new)
{
    if (*s && (*s)->priority >= new->priority) {
        bool below = interval_cmp(new->first, (*s)->first) < 0;
        tree_insert(below ? &(*s)->left : &(*s)->right, new);
        update(*s);
        return;
    }
    split(*s, new->first, &new->left, &new->right);
    *s = new;
    update(new);
}

static void tree_remove(struct span **s, struct span *old)
{
    assert(*s);
    if (*s == old) {
        *s = merge(old->left, old->right);
        return;
    }
    bool below = interval_cmp(old->first, (*s)->first) < 0;
    tree_remove(below ? &(*s)->left : &(*s)->right, old);
    update(*s);
}

static struct span *tree_find(const struct watch_index *w, const struct watch_key *k)
{
    struct span *s = w->root;

    for (int c; s && (c = interval_cmp(k, s->first)) != 0;)
        s = c < 0 ? s->left : s->right;
    return s;
}

static void tree_match(const struct span *s, struct slice key,
                       void (*each)(void *ctx, struct watch_key *k), void *ctx)
{
    while (s && ends_after(s->last->first, key)) {
        tree_match(s->left, key, each, ctx);
        if (slice_cmp(s->first->key, key) > 0)
            return; /* and so do all to the right */
        if (ends_after(s->first, key))
            ring_each(s->first, each, ctx);
        s = s->right;
    }
}

/* --- the index --- */

static void add_single(struct watch_index *w, struct watch_key *k)
{
    struct watch_key *first = map_get(&w->keys, k->key);

    k->internal = NULL;
    if (first)
        list_add_tail(&first->link, &k->link);
    else
        map_put(&w->keys, k->key, k);
}

static void remove_single(struct watch_index *w, struct watch_key *k)
{
    struct watch_key *next = ring_next(k);

    if (next == k)
        map_remove(&w->keys, k->key);
    else if (map_get(&w->keys, k->key) == k)
        map_put(&w->keys, next->key, next); /* the map's view of the key moves along */
    list_del(&k->link);
}

static void add_interval(struct watch_index *w, struct watch_key *k)
{
    struct span *s = tree_find(w, k);

    if (s) {
        list_add_tail(&s->first->link, &k->link);
    } else {
        s = xcalloc(1, sizeof *s);
        s->first = k;
        s->priority = rng_u64(&w->rng);
        tree_insert(&w->root, s);
    }
    k->internal = s;
}

static void remove_interval(struct watch_index *w, struct watch_key *k)
{
    struct watch_key *next = ring_next(k);
    struct span *s = k->internal;

    if (next == k) {
        tree_remove(&w->root, s);
        free(s);
    } else if (s->first == k) {
        s->first = next;
    }
    list_del(&k->link);
    k->internal = NULL;
}

void watch_index_add(struct watch_index *w, struct watch_key *k)
{
    list_init(&k->link);
    if (is_single(k))
        add_single(w, k);
    else
        add_interval(w, k);
    w->n++;
}

void watch_index_remove(struct watch_index *w, struct watch_key *k)
{
    assert(w->n > 0);
    if (is_single(k))
        remove_single(w, k);
    else
        remove_interval(w, k);
    w->n--;
}

void watch_index_match(const struct watch_index *w, struct slice key,
                       void (*each)(void *ctx, struct watch_key *k), void *ctx)
{
    struct watch_key *first = map_get(&w->keys, key);

    if (first)
        ring_each(first, each, ctx);
    tree_match(w->root, key, each, ctx);
}
