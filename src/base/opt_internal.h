/*
 * opt_internal: what the files of opt share.
 */
#ifndef BASE_OPT_INTERNAL_H
#define BASE_OPT_INTERNAL_H

#include "base/opt.h"

/* How a value came in, for the words of an error: "--name", "environment variable ETCD_NAME"... */
struct opt_place {
    enum opt_source from;
    const char *name; /* with its dashes or prefix */
};

/* Checks text and stores it in target. append: a list grows instead of being replaced. 0 or
 * ERR_USAGE; on failure the target is unchanged. */
int opt_value_store(const struct opt *row, void *target, const char *text, bool append,
                    const struct opt_place *place, struct err *e);
/* Frees what the row holds in target and sets it to NULL. */
void opt_value_free(const struct opt *row, void *target);
/* Nanoseconds as the shortest Go duration, for bounds: "5s", "1h", "1500ms". */
const char *opt_format_duration(uint64_t ns, char out[32]);

/* A search for the name nearest to word. */
struct opt_nearest {
    const char *word;
    const char *best;
    size_t distance;
};
void opt_nearest_init(struct opt_nearest *n, const char *word);
void opt_nearest_offer(struct opt_nearest *n, const char *name);
/* The best so far when it is near enough to be meant, or NULL. */
const char *opt_nearest_get(const struct opt_nearest *n);

#endif
