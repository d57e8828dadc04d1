/*
 * kv_request: from the words and flags of put, get and del to the request, for the commands and for
 * the lines of a transaction alike. Pure.
 *
 * Requests point into the words, the flags and the arena, and live as long as these. The functions
 * return 0; ERR_USAGE: words or flags make no sense together; ERR_UNIMPLEMENTED: an unknown value
 * ("bad sort order"); ERR_LIMIT: the arena is full.
 */
#ifndef ETCDCTL_KV_REQUEST_H
#define ETCDCTL_KV_REQUEST_H

#include "base/arena.h"
#include "etcdctl/ctl.h"

struct put_flags {
    struct ctl_flags g;
    char *lease; /* hexadecimal */
    bool prev_kv, ignore_value, ignore_lease;
};
struct get_flags {
    struct ctl_flags g;
    char *consistency, *order, *sort_by;
    int64_t limit, rev;
    int64_t min_create_rev, max_create_rev, min_mod_rev, max_mod_rev;
    bool prefix, from_key, keys_only, count_only, print_value_only;
};
struct del_flags {
    struct ctl_flags g;
    bool prefix, from_key, prev_kv, range;
};
extern const struct opt put_rows[], get_rows[], del_rows[];

int kv_put_request(const struct put_flags *f, int argc, char **argv, Etcdserverpb__PutRequest *ret,
                   struct err *e);
int kv_get_request(const struct get_flags *f, int argc, char **argv, struct arena *a,
                   Etcdserverpb__RangeRequest *ret, struct err *e);
int kv_del_request(const struct del_flags *f, int argc, char **argv, struct arena *a,
                   Etcdserverpb__DeleteRangeRequest *ret, struct err *e);

/* The end of the range of all keys that begin with prefix: in the arena, p NULL when that is full.
 */
ProtobufCBinaryData kv_prefix_end(struct arena *a, struct slice prefix);

#endif
