#include "base/arena.h"

#define ARENA_ALIGN ((size_t)16)
#define ARENA_CHUNK ((size_t)4000) /* with malloc's own header this stays inside a page */

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    uint8_t data[] __attribute__((aligned(16)));
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

/* Frees every chunk but keep. */
static void free_chunks(struct arena *a, struct arena_chunk *keep)
{
    struct arena_chunk *next;

    for (struct arena_chunk *c = a->first; c; c = next) {
        next = c->next;
        if (c != keep)
            free(c);
    }
    if (keep)
        keep->next = NULL;
    *a = (struct arena){.first = keep, .max = a->max};
}

void arena_deinit(struct arena *a)
{
    free_chunks(a, NULL);
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = a->first;

    while (keep && keep->size != ARENA_CHUNK)
        keep = keep->next;
    free_chunks(a, keep);
    if (keep) {
        a->pos = keep->data;
        a->end = keep->data + keep->size;
    }
}

static struct arena_chunk *add_chunk(struct arena *a, size_t size)
{
    struct arena_chunk *c = malloc(sizeof *c + size);

    if (!c)
        return NULL;
    c->size = size;
    c->next = a->first;
    a->first = c;
    return c;
}

static void *take_small(struct arena *a, size_t take)
{
    if ((size_t)(a->end - a->pos) < take) {
        struct arena_chunk *c = add_chunk(a, ARENA_CHUNK);
        if (!c)
            return NULL;
        a->pos = c->data;
        a->end = c->data + ARENA_CHUNK;
    }
    void *p = a->pos;
    a->pos += take;
    return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->max || a->used > a->max - n || n > SIZE_MAX / 2)
        return NULL;
    /* At least one step, so that no two allocations share an address; and steps are what counts,
     * or many tiny ones would hold 16 times max. */
    size_t take = MAX((n + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1), ARENA_ALIGN);
    void *p;
    if (take > ARENA_CHUNK) {
        /* A chunk of its own; what is left of the current one stays in use. */
        struct arena_chunk *c = add_chunk(a, take);
        p = c ? c->data : NULL;
    } else {
        p = take_small(a, take);
    }
    if (p)
        a->used += take;
    return p;
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
    char *copy = n < SIZE_MAX ? arena_alloc(a, n + 1) : NULL;

    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, p, n);
    copy[n] = 0;
    return copy;
}
