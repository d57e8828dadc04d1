/*
 * watch: which watchers an event concerns. Pure: no store, no stream. Keys are indexed so that an
 * event finds its watchers without looking at the others: exact keys by hash, intervals by a
 * balanced interval tree.
 */
#ifndef ETCD_WATCH_H
#define ETCD_WATCH_H

#include "base/list.h"
#include "base/slice.h"

/* Embedded in the owner's struct. key and end are views the owner keeps alive while added. */
struct watch_key {
    struct slice key;
    struct slice end; /* empty: the one key; "\0": all >= key; else [key, end) */
    void *internal;   /* the index's own */
    struct list link; /* the index's own */
};

struct watch_index;
struct watch_index *watch_index_new(const uint64_t seed[2]);
void watch_index_free(struct watch_index *w); /* all watchers removed before */
void watch_index_add(struct watch_index *w, struct watch_key *k);
void watch_index_remove(struct watch_index *w, struct watch_key *k);
size_t watch_index_count(const struct watch_index *w);
/* Calls each for every watcher whose range holds key. each must not add or remove. */
void watch_index_match(const struct watch_index *w, struct slice key,
                       void (*each)(void *ctx, struct watch_key *k), void *ctx);
bool watch_key_holds(const struct watch_key *k, struct slice key);

#endif
