/*
 * map: hash map from bytes to a pointer. Keys are views: the caller keeps the bytes alive while the
 * entry stands (usually they lie inside the value). Lookups are safe against chosen keys: the hash
 * is SipHash-1-3 under a seed the caller draws at random.
 *
 * Not for two threads at once. Adding or removing inside map_for_each is not allowed.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/slice.h"
#include "base/util.h"

struct map_entry {
    struct slice key;
    void *value; /* NULL marks a free slot */
    uint64_t hash;
};
struct map {
    struct map_entry *slots;
    size_t cap; /* 0 or a power of two */
    size_t n;
    uint64_t seed[2];
};

/* seed: 16 random bytes; zeros are fine where keys are our own. */
void map_init(struct map *m, const uint64_t seed[2]);
/* Frees the table, not the values. */
void map_deinit(struct map *m);

/* The value under key, or NULL. */
void *map_get(const struct map *m, struct slice key);
/* Puts value (not NULL) under key and returns the value that stood there, or NULL. On replacement
 * the stored key view becomes the new one. */
void *map_put(struct map *m, struct slice key, void *value);
/* Removes key and returns its value, or NULL. */
void *map_remove(struct map *m, struct slice key);
static inline size_t map_count(const struct map *m)
{
    return m->n;
}
/* it: struct map_entry *. Order is arbitrary. */
#define map_for_each(it, m)                                                                        \
    for (struct map_entry *it = (m)->slots; it && it < (m)->slots + (m)->cap; it++)                \
        if (it->value)

/* SipHash-1-3 of the bytes under a 128-bit seed. */
uint64_t siphash13(const uint64_t seed[2], struct slice s);

#endif
