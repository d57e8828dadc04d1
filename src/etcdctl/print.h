/*
 * print: answers on stdout in the five forms of --write-out. One table a form, one row a kind of
 * answer; a kind without a row is "not supported as output format".
 */
#ifndef ETCDCTL_PRINT_H
#define ETCDCTL_PRINT_H

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

enum out_kind {
    OUT_PUT,
    OUT_GET,
    OUT_DEL,
    OUT_TXN,
    OUT_WATCH,
    OUT_GRANT,
    OUT_REVOKE, /* arg.id: the lease */
    OUT_KEEPALIVE,
    OUT_TIMETOLIVE, /* arg.flag: --keys */
    OUT_LEASES,
    OUT_ALARM,
    OUT_MEMBER_LIST,
    OUT_MEMBER_ADD,
    OUT_MEMBER_REMOVE, /* arg.id: the member */
    OUT_MEMBER_UPDATE,
    OUT_MEMBER_PROMOTE,
    OUT_MOVE_LEADER, /* arg.id: from, arg.id2: to */
    OUT_KINDS,
};
enum out_list { OUT_HEALTH, OUT_STATUS, OUT_HASHKV, OUT_LISTS };

struct out_arg {
    uint64_t id, id2;
    bool flag;
};
/* What one endpoint answered. */
struct out_endpoint {
    const char *endpoint;
    const ProtobufCMessage *response; /* of OUT_STATUS, OUT_HASHKV */
    uint64_t took_ns;                 /* OUT_HEALTH; and the error, "" when healthy */
    const char *error;
};

struct out;
typedef void out_message_fn(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg);
typedef void out_list_fn(struct out *o, const struct out_endpoint *rows, size_t n);
struct out_format {
    const char *name;
    out_message_fn *message[OUT_KINDS];
    out_list_fn *list[OUT_LISTS];
};
extern const struct out_format out_simple, out_json, out_fields, out_table, out_protobuf;

struct out {
    const struct out_format *format;
    FILE *f;
    FILE *side; /* endpoint health's simple lines: stderr, as upstream */
    bool hex;
    bool value_only; /* get --print-value-only */
};

/* The format of that name, or NULL. */
const struct out_format *out_format_find(const char *name);
/* 0, or ERR_UNIMPLEMENTED "json not supported as output format". Flushes. */
int out_message(struct out *o, enum out_kind kind, const ProtobufCMessage *m,
                const struct out_arg *arg, struct err *e);
int out_endpoints(struct out *o, enum out_list list, const struct out_endpoint *rows, size_t n,
                  struct err *e);

/* The rows that the simple and the table form share: cells of one line, owned by the caller. */
#define OUT_COLUMNS_MAX 16
struct out_cells {
    size_t n;
    char *cell[OUT_COLUMNS_MAX];
};
extern const char *const out_status_columns[],
    *const out_hashkv_columns[], *const out_health_columns[], *const out_member_columns[];
void out_status_cells(const struct out_endpoint *row, struct out_cells *ret);
void out_hashkv_cells(const struct out_endpoint *row, struct out_cells *ret);
void out_health_cells(const struct out_endpoint *row, struct out_cells *ret);
void out_member_cells(const ProtobufCMessage *member, struct out_cells *ret);
void out_cells_free(struct out_cells *c);
/* A framed table; columns end with NULL, rows have as many cells. */
void out_table_write(FILE *f, const char *const *columns, const struct out_cells *rows, size_t n);

#endif
