/*
 * arena: memory of one request, freed at once.
 *
 * Allocations are 16-byte aligned and live until arena_reset or arena_deinit. A maximum is named at
 * init; past it arena_alloc returns NULL, so that what a peer sends cannot size our memory. One
 * arena belongs to one thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"
#include "base/util.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *first;
    uint8_t *pos;
    uint8_t *end;
    size_t used; /* bytes asked for since the last reset, in steps of 16 */
    size_t max;
};

/* max: bytes that may be asked for between two resets. Allocates nothing yet. */
void arena_init(struct arena *a, size_t max);
void arena_deinit(struct arena *a);
/* Frees everything allocated, keeps one small chunk for the next request. */
void arena_reset(struct arena *a);

/* n bytes, not zeroed; NULL when max is passed or memory is gone. n may be 0: a pointer of its own,
 * with nothing behind it. */
void *arena_alloc(struct arena *a, size_t n);
/* A copy of n bytes followed by a NUL; NULL when max is passed. */
void *arena_dup(struct arena *a, const void *p, size_t n);

#endif
