#include "etcd/lease.h"

#include "base/clock.h"
#include "base/map.h"

#define HEAP_FIRST_CAP 16
#define NOT_IN_HEAP    SIZE_MAX

struct lease {
    int64_t id; /* its bytes are the map's key */
    int64_t ttl_s;
    int64_t stored_s; /* the remaining time the durable side knows */
    uint64_t deadline_ns;
    size_t heap_pos; /* NOT_IN_HEAP: handed out for revocation */
    bool expired;    /* was handed out once; no way back */
};

struct lease_set {
    int64_t min_ttl_s;
    struct map by_id;
    struct lease **heap; /* earliest deadline first; ties by id, so that runs replay */
    size_t heap_n, heap_cap;
};

struct lease_set *lease_set_new(int64_t min_ttl_s, const uint64_t seed[2])
{
    struct lease_set *s = xcalloc(1, sizeof *s);

    assert(min_ttl_s > 0 && min_ttl_s <= LEASE_TTL_MAX_S);
    s->min_ttl_s = min_ttl_s;
    map_init(&s->by_id, seed);
    return s;
}

void lease_set_free(struct lease_set *s)
{
    if (!s)
        return;
    map_for_each (e, &s->by_id)
        free(e->value);
    map_deinit(&s->by_id);
    free(s->heap);
    free(s);
}

/* --- the heap --- */

static bool before(const struct lease *a, const struct lease *b)
{
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->id < b->id;
}

static void heap_set(struct lease_set *s, size_t pos, struct lease *l)
{
    s->heap[pos] = l;
    l->heap_pos = pos;
}

/* Puts l where it belongs, from pos, whose former tenant is gone or l itself. */
static void heap_place(struct lease_set *s, size_t pos, struct lease *l)
{
    while (pos > 0 && before(l, s->heap[(pos - 1) / 2])) {
        heap_set(s, pos, s->heap[(pos - 1) / 2]);
        pos = (pos - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * pos + 1;
        if (child + 1 < s->heap_n && before(s->heap[child + 1], s->heap[child]))
            child++;
        if (child >= s->heap_n || !before(s->heap[child], l))
            break;
        heap_set(s, pos, s->heap[child]);
        pos = child;
    }
    heap_set(s, pos, l);
}

static void heap_push(struct lease_set *s, struct lease *l)
{
    assert(l->heap_pos == NOT_IN_HEAP);
    if (s->heap_n == s->heap_cap) {
        s->heap_cap = s->heap_cap ? s->heap_cap * 2 : HEAP_FIRST_CAP;
        s->heap = xrealloc(s->heap, s->heap_cap * sizeof *s->heap);
    }
    heap_place(s, s->heap_n++, l);
}

static void heap_remove(struct lease_set *s, struct lease *l)
{
    size_t pos = l->heap_pos;

    assert(pos < s->heap_n && s->heap[pos] == l);
    struct lease *last = s->heap[--s->heap_n];
    l->heap_pos = NOT_IN_HEAP;
    if (last != l)
        heap_place(s, pos, last);
}

/* --- the set --- */

static struct slice id_key(const int64_t *id)
{
    return slice_of(id, sizeof *id);
}

static struct lease *find(const struct lease_set *s, int64_t id)
{
    return map_get(&s->by_id, id_key(&id));
}

static bool is_expired(const struct lease *l, uint64_t now_ns)
{
    return l->expired || l->deadline_ns <= now_ns;
}

static uint64_t deadline_after(uint64_t now_ns, int64_t s)
{
    uint64_t ns;

    if (__builtin_mul_overflow((uint64_t)s, NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, now_ns, &ns))
        return UINT64_MAX - 1; /* UINT64_MAX says "none" */
    return ns;
}

int lease_ttl_effective(const struct lease_set *s, int64_t ttl_s, int64_t *ret_ttl_s)
{
    if (ttl_s > LEASE_TTL_MAX_S)
        return ERR_LEASE_TTL_TOO_LARGE;
    *ret_ttl_s = MAX(ttl_s, s->min_ttl_s);
    return 0;
}

int lease_add(struct lease_set *s, int64_t id, int64_t ttl_s, int64_t remaining_s, uint64_t now_ns)
{
    assert(id > 0 && ttl_s > 0 && remaining_s >= 0);
    if (lease_exists(s, id))
        return ERR_LEASE_EXISTS;
    struct lease *l = xmalloc(sizeof *l);
    *l = (struct lease){.id = id, .ttl_s = ttl_s, .heap_pos = NOT_IN_HEAP};
    l->stored_s = remaining_s ? remaining_s : ttl_s;
    l->deadline_ns = deadline_after(now_ns, l->stored_s);
    map_put(&s->by_id, id_key(&l->id), l);
    heap_push(s, l);
    return 0;
}

int lease_remove(struct lease_set *s, int64_t id)
{
    struct lease *l = map_remove(&s->by_id, id_key(&id));

    if (!l)
        return ERR_LEASE_NOT_FOUND;
    if (l->heap_pos != NOT_IN_HEAP)
        heap_remove(s, l);
    free(l);
    return 0;
}

bool lease_exists(const struct lease_set *s, int64_t id)
{
    return find(s, id) != NULL;
}

int lease_renew(struct lease_set *s, int64_t id, uint64_t now_ns, int64_t *ret_ttl_s)
{
    struct lease *l = find(s, id);

    if (!l || is_expired(l, now_ns))
        return ERR_LEASE_NOT_FOUND;
    l->deadline_ns = deadline_after(now_ns, l->ttl_s);
    heap_place(s, l->heap_pos, l);
    *ret_ttl_s = l->ttl_s;
    return 0;
}

static uint64_t left_ns(const struct lease *l, uint64_t now_ns)
{
    return is_expired(l, now_ns) ? 0 : l->deadline_ns - now_ns;
}

int lease_time_to_live(const struct lease_set *s, int64_t id, uint64_t now_ns, int64_t *ret_left_s,
                       int64_t *ret_granted_s)
{
    const struct lease *l = find(s, id);

    if (!l)
        return ERR_LEASE_NOT_FOUND;
    *ret_left_s = (int64_t)(left_ns(l, now_ns) / NS_PER_S);
    *ret_granted_s = l->ttl_s;
    return 0;
}

size_t lease_count(const struct lease_set *s)
{
    return map_count(&s->by_id);
}

static int by_expiry(const void *a, const void *b)
{
    const struct lease *x = *(const struct lease *const *)a, *y = *(const struct lease *const *)b;

    if (x->deadline_ns != y->deadline_ns)
        return x->deadline_ns < y->deadline_ns ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

void lease_list(const struct lease_set *s, int64_t *out)
{
    cleanup_free const struct lease **all = xcalloc(lease_count(s) + 1, sizeof *all);
    size_t n = 0;

    map_for_each (e, &s->by_id)
        all[n++] = e->value;
    assert(n == lease_count(s));
    qsort(all, n, sizeof *all, by_expiry);
    for (size_t i = 0; i < n; i++)
        out[i] = all[i]->id;
}

/* --- expiry --- */

uint64_t lease_next_deadline_ns(const struct lease_set *s)
{
    return s->heap_n ? s->heap[0]->deadline_ns : UINT64_MAX;
}

size_t lease_expired(struct lease_set *s, uint64_t now_ns, int64_t *out, size_t max)
{
    size_t n = 0;

    while (n < max && s->heap_n && s->heap[0]->deadline_ns <= now_ns) {
        struct lease *l = s->heap[0];
        heap_remove(s, l);
        l->expired = true;
        out[n++] = l->id;
    }
    return n;
}

void lease_retry(struct lease_set *s, int64_t id, uint64_t now_ns)
{
    struct lease *l = find(s, id);

    if (!l || l->heap_pos != NOT_IN_HEAP)
        return; /* revoked by somebody else meanwhile, or even granted anew */
    l->deadline_ns = now_ns + LEASE_RETRY_NS;
    heap_push(s, l);
}

/* --- checkpoints --- */

size_t lease_checkpoint_due(struct lease_set *s, uint64_t now_ns, int64_t drift_s,
                            struct lease_remaining *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < s->heap_n && n < max; i++) {
        const struct lease *l = s->heap[i];
        uint64_t ns = left_ns(l, now_ns);
        /* Up, so that what is read back after a crash never expires early. */
        int64_t left_s = (int64_t)(ns / NS_PER_S + (ns % NS_PER_S > 0));
        if (ns > 0 && llabs(left_s - l->stored_s) > drift_s)
            out[n++] = (struct lease_remaining){l->id, left_s};
    }
    return n;
}

void lease_checkpointed(struct lease_set *s, int64_t id, int64_t remaining_s)
{
    struct lease *l = find(s, id);

    if (l)
        l->stored_s = remaining_s ? remaining_s : l->ttl_s;
}
