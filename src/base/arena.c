#include "base/arena.h"

#define ARENA_ALIGN 16
#define ARENA_CHUNK 4000 /* with malloc's own header this stays inside a page */

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    uint8_t data[] __attribute__((aligned(ARENA_ALIGN)));
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

static void free_chunks(struct arena_chunk *c)
{
    while (c) {
        struct arena_chunk *next = c->next;
        free(c);
        c = next;
    }
}

void arena_deinit(struct arena *a)
{
    free_chunks(a->first);
    *a = (struct arena){.max = a->max};
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = a->first;

    a->used = 0;
    if (!keep)
        return;
    if (keep->size > ARENA_CHUNK) {
        arena_deinit(a);
        return;
    }
    free_chunks(keep->next);
    keep->next = NULL;
    a->pos = keep->data;
    a->end = keep->data + keep->size;
}

static int add_chunk(struct arena *a, size_t n)
{
    size_t size = MAX(n, (size_t)ARENA_CHUNK);
    struct arena_chunk *c = malloc(sizeof *c + size);

    if (!c)
        return -ENOMEM;
    c->size = size;
    /* The first chunk stays first: arena_reset keeps it. */
    if (a->first) {
        c->next = a->first->next;
        a->first->next = c;
    } else {
        c->next = NULL;
        a->first = c;
    }
    a->pos = c->data;
    a->end = c->data + size;
    return 0;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->max || a->used > a->max - n)
        return NULL;
    size_t take = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if ((size_t)(a->end - a->pos) < take || !a->first)
        if (add_chunk(a, take) < 0)
            return NULL;
    void *p = a->pos;
    a->pos += take;
    a->used += n;
    return p;
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
    char *copy = arena_alloc(a, n + 1);

    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, p, n);
    copy[n] = 0;
    return copy;
}
