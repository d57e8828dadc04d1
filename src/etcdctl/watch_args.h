/*
 * watch_args: what to watch and what to run, from the words of the watch command, from a line of
 * watch -i, and from ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END. Pure.
 */
#ifndef ETCDCTL_WATCH_ARGS_H
#define ETCDCTL_WATCH_ARGS_H

#include "base/arena.h"
#include "etcdctl/ctl.h"

struct watch_flags {
    struct ctl_flags g;
    bool interactive, prefix, prev_kv, progress_notify;
    int64_t rev;
};
extern const struct opt watch_rows[];

struct watch_args {
    const char *key, *range_end; /* range_end NULL: one key, or the prefix */
    char **exec;                 /* NULL-terminated; NULL: nothing to run */
};

/* words: without flags; exec: the words behind "--" (their "--" not included), NULL when there was
 * no "--". env_key, env_range: NULL or "" when unset. Results borrow. 0 or ERR_USAGE. */
int watch_args_parse(char **words, int n, char **exec, const char *env_key, const char *env_range,
                     struct watch_args *ret, struct err *e);
/* Splits argv in place at its first "--": returns the words behind it (NULL when there is none) and
 * cuts *argc. */
char **watch_args_exec(int *argc, char **argv);

enum watch_line { WATCH_LINE_WATCH, WATCH_LINE_PROGRESS };
/* A line of watch -i. 0 with *ret_line, and for WATCH_LINE_WATCH flags and args in the arena.
 * ERR_USAGE: e->msg is the line to print, as it stands ("Invalid command ..."), and reading goes
 * on. ERR_CONFIG: the words of a watch make no sense; the program ends. */
int watch_line_parse(struct arena *a, struct slice line, const char *env_key, const char *env_range,
                     enum watch_line *ret_line, struct watch_flags *flags, struct watch_args *ret,
                     struct err *e);

/* The request that begins the watch; borrows from args, and from the arena for a prefix's end. */
int watch_create_request(const struct watch_flags *f, const struct watch_args *args,
                         struct arena *a, Etcdserverpb__WatchCreateRequest *ret, struct err *e);

#endif
