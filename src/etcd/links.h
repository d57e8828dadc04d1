/*
 * links: how the versions of one key hang together, so that an old revision is found in about
 * log(versions) steps while a put looks up one older record at most.
 *
 * Each version links to the one before and to a jump further back; jumps follow Myers' skew-binary
 * lists (An applicative random-access stack, 1983): when the newest version's jump and the jump of
 * that are equally long, the next version jumps over both, else to the newest.
 *
 *     version   0  1  2  3  4  5  6  7
 *     jumps to     0  1  0  3  4  3  0
 *
 * Any earlier version is a correct jump, so a list whose old end was compacted away just goes on.
 */
#ifndef ETCD_LINKS_H
#define ETCD_LINKS_H

#include "etcd/index.h"

/* The links of a new version of a key whose newest version is old (NULL: none): into rec's prev and
 * jump, and into entry's jumps. 0 or ERR_DATA_DAMAGED. */
int links_extend(const struct table_reader *r, const struct index_entry *old,
                 struct history_record *rec, struct index_entry *entry);
/* The version that stood at main revision rev (not below the compacted one): the newest at or below
 * it. 0 (maybe a tombstone), ERR_KEY_NOT_FOUND, ERR_DATA_DAMAGED. */
int links_find(const struct table_reader *r, struct slice key, const struct index_entry *newest,
               int64_t rev, struct history_record *ret);
/* The record of a version that must be there, and be the key's. 0 or ERR_DATA_DAMAGED. */
int links_load(const struct table_reader *r, struct slice key, struct rev rev,
               struct history_record *ret);

#endif
