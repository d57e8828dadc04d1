/*
 * txn_parse: the text of a transaction, as etcdctl txn reads it. Pure.
 *
 *     mod("key1") > "0"
 *
 *     put key1 "overwrote-key1"
 *
 *     put key1 "created-key1"
 *     get key1 --prefix
 *
 * Three blocks, each ended by an empty line: comparisons, requests for success, requests for
 * failure. Everything parsed lives in the arena.
 */
#ifndef ETCDCTL_TXN_PARSE_H
#define ETCDCTL_TXN_PARSE_H

#include "base/arena.h"
#include "etcdctl/ctl.h"

#define TXN_ITEMS_MAX 16384 /* lines of one block; servers take 128 unless told otherwise */

enum txn_block { TXN_COMPARES, TXN_SUCCESS, TXN_FAILURE, TXN_DONE };

struct txn_parser {
    struct arena *a;
    enum txn_block block; /* that the next line belongs to */
    Etcdserverpb__TxnRequest request;
};

void txn_parser_init(struct txn_parser *p, struct arena *a);
/* One line, its end stripped or not. 0; ERR_USAGE with the words etcdctl has for it; codes of
 * kv_request.h; ERR_LIMIT. Not to be called at TXN_DONE; then request is complete. */
int txn_parser_line(struct txn_parser *p, struct slice line, struct err *e);

/* A line of a block by itself. */
int txn_parse_compare(struct arena *a, struct slice line, Etcdserverpb__Compare **ret,
                      struct err *e);
int txn_parse_op(struct arena *a, struct slice line, Etcdserverpb__RequestOp **ret, struct err *e);

#endif
