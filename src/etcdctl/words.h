/*
 * words: splits a line into words as etcdctl's txn and watch -i do: "double quoted" with Go's
 * escapes, 'single quoted' as it stands, or anything up to the next blank. Pure.
 */
#ifndef ETCDCTL_WORDS_H
#define ETCDCTL_WORDS_H

#include "base/arena.h"
#include "base/err.h"

/* Words go to the arena, NUL-terminated, with a NULL behind the last. 0; ERR_USAGE: a bad escape,
 * or a byte a command line cannot carry (NUL); ERR_LIMIT. */
int words_split(struct arena *a, struct slice line, char ***ret_words, int *ret_n, struct err *e);

#endif
