/*
 * commands: what etcdutl does to files of a stopped member. Each returns 0 or a code with *e
 * filled; what was asked for is printed.
 */
#ifndef ETCDUTL_COMMANDS_H
#define ETCDUTL_COMMANDS_H

#include "base/err.h"

struct util_conf {
    char *data_dir, *wal_dir;
    char *name, *initial_cluster_token;
    char **initial_advertise_peer_urls;
    bool skip_hash_check;
    int format; /* 0: simple, 1: json */
};

/* Reads everything under the data directory: each log frame, each record, each link, the sums. */
int util_check(const struct util_conf *c, int nargs, char **args, struct err *e);
/* Rewrites the store's file without free pages. */
int util_defrag(const struct util_conf *c, int nargs, char **args, struct err *e);
/* args: the snapshot's file. */
int util_snapshot_status(const struct util_conf *c, int nargs, char **args, struct err *e);
int util_snapshot_restore(const struct util_conf *c, int nargs, char **args, struct err *e);
int util_version(const struct util_conf *c, int nargs, char **args, struct err *e);

#endif
