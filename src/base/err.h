/*
 * err: result codes, and the message an operator reads.
 *
 * A function returns int: 0 is good; negative is failure, a negated errno or a project code of
 * ERR_TABLE; positive only as an outcome that very function documents. Functions that meet the
 * operator (configuration, command line, files) take a last `struct err *e`, fill it where the
 * failure happens and add context on the way up:
 *
 *     return err_set(e, -errno, "open data directory '%s'", dir);
 *     ...
 *     if (r < 0)
 *         return err_wrap(e, r, "start member '%s'", name);
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/err_table.h"
#include "base/util.h"

enum err_code {
    ERR_FIRST = -2000,
#define X(name, grpc, http, exit, text) name,
    ERR_TABLE(X)
#undef X
        ERR_END
};

/* gRPC status numbers (grpc/doc/statuscodes.md). */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

#define ERR_MSG_MAX 1024 /* context, a path or two, and advice */
struct err {
    int code;
    char msg[ERR_MSG_MAX]; /* "" while code is 0 */
};

/* The fixed text of a code; for a negated errno strerror's. Never NULL; 0 gives "ok". Not for two
 * threads at once for errno codes. */
const char *err_text(int code);
/* gRPC status, HTTP status, process exit code; codes outside the table give 13, 500, 1. */
int err_grpc(int code);
int err_http(int code);
int err_exit(int code);

/* Both return code. e may be NULL. err_set appends ": TEXT" of a negated errno; err_wrap puts its
 * text and ": " before what stands there. Long messages are cut at ERR_MSG_MAX - 1 bytes. An
 * argument may be e->msg. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_wrap(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
