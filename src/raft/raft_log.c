#include "raft/raft_log.h"

#define PAGE_ENTRIES_MIN 1024        /* a few busy batches: growing is rare */
#define BLOCK_BYTES      (64 * 1024) /* hundreds of ordinary entries; a larger one gets its own */

struct raft_log_page {
    struct raft_log_page *next;
    uint64_t last_index; /* of the newest entry that ever stood here */
    size_t cap;
    struct raft_entry entries[];
};

struct raft_log_block {
    struct raft_log_block *next;
    uint64_t last_index; /* of the newest entry with data here */
    size_t used, cap;
    uint8_t bytes[];
};

void raft_log_init(struct raft_log *l, uint64_t first)
{
    assert(first > 0);
    *l = (struct raft_log){.first = first};
}

void raft_log_deinit(struct raft_log *l)
{
    for (struct raft_log_page *p = l->page_first, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    for (struct raft_log_block *b = l->block_first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *l = (struct raft_log){.first = 1};
}

/* A larger array with the live entries. The old one stays until all that stood in it is forgotten:
 * batches that were given out point into it. */
static int page_grow(struct raft_log *l)
{
    struct raft_log_page *old = l->page_last;
    size_t cap = MAX(l->n * 2, (size_t)PAGE_ENTRIES_MIN);
    struct raft_log_page *p = malloc(sizeof *p + cap * sizeof p->entries[0]);

    if (!p)
        return -ENOMEM;
    p->next = NULL;
    p->last_index = l->first + l->n - 1;
    p->cap = cap;
    if (l->n)
        memcpy(p->entries, old->entries + l->head, l->n * sizeof p->entries[0]);
    if (old)
        old->next = p;
    else
        l->page_first = p;
    l->page_last = p;
    l->head = 0;
    return 0;
}

static int block_grow(struct raft_log *l, size_t need)
{
    size_t cap = MAX(need, (size_t)BLOCK_BYTES);
    struct raft_log_block *b = malloc(sizeof *b + cap);

    if (!b)
        return -ENOMEM;
    *b = (struct raft_log_block){.cap = cap};
    if (l->block_last)
        l->block_last->next = b;
    else
        l->block_first = b;
    l->block_last = b;
    return 0;
}

static int data_copy(struct raft_log *l, uint64_t index, struct slice *io_data)
{
    struct raft_log_block *b = l->block_last;

    if (io_data->n == 0) {
        *io_data = SLICE_EMPTY;
        return 0;
    }
    if (!b || b->cap - b->used < io_data->n) {
        int r = block_grow(l, io_data->n);
        if (r < 0)
            return r;
        b = l->block_last;
    }
    uint8_t *to = b->bytes + b->used;
    memcpy(to, io_data->p, io_data->n);
    io_data->p = to;
    b->used += io_data->n;
    b->last_index = index;
    return 0;
}

int raft_log_append(struct raft_log *l, uint64_t term, enum raft_entry_type type, struct slice data)
{
    struct raft_entry e = {.term = term, .index = l->first + l->n, .type = type, .data = data};

    assert(l->n == 0 || raft_log_at(l, e.index - 1)->term <= term);
    if (!l->page_last || l->head + l->n == l->page_last->cap) {
        int r = page_grow(l);
        if (r < 0)
            return r;
    }
    int r = data_copy(l, e.index, &e.data);
    if (r < 0)
        return r;
    l->page_last->entries[l->head + l->n] = e;
    l->page_last->last_index = e.index;
    l->n++;
    return 0;
}

static void blocks_drop(struct raft_log *l, uint64_t index)
{
    while (l->block_first && l->block_first->last_index <= index) {
        struct raft_log_block *b = l->block_first;
        if (b == l->block_last && b->cap == BLOCK_BYTES) {
            b->used = 0; /* the common case: one block serves for ever */
            return;
        }
        l->block_first = b->next;
        if (!l->block_first)
            l->block_last = NULL;
        free(b);
    }
}

void raft_log_drop(struct raft_log *l, uint64_t index)
{
    if (index < l->first)
        return;
    size_t n = (size_t)(index - l->first + 1);
    assert(n <= l->n);
    l->first += n;
    l->n -= n;
    l->head = l->n ? l->head + n : 0;

    blocks_drop(l, index);
    while (l->page_first != l->page_last && l->page_first->last_index <= index) {
        struct raft_log_page *p = l->page_first;
        l->page_first = p->next;
        free(p);
    }
}

const struct raft_entry *raft_log_at(const struct raft_log *l, uint64_t index)
{
    assert(index >= l->first);
    assert(index - l->first < l->n);
    return &l->page_last->entries[l->head + (index - l->first)];
}
