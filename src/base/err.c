#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

struct err_row {
    int grpc;
    int http;
    int exit;
    const char *text;
};

static const struct err_row rows[] = {
#define X(name, grpc, http, exit, text) {grpc, http, exit, text},
    ERR_TABLE(X)
#undef X
};

static const struct err_row *row_of(int code)
{
    if (code <= ERR_FIRST || code >= ERR_END)
        return NULL;
    return &rows[code - ERR_FIRST - 1];
}

const char *err_text(int code)
{
    const struct err_row *row = row_of(code);

    if (code == 0)
        return "ok";
    return row ? row->text : strerror(-code);
}

int err_grpc(int code)
{
    const struct err_row *row = row_of(code);

    if (code == 0)
        return GRPC_OK;
    return row ? row->grpc : GRPC_INTERNAL;
}

int err_http(int code)
{
    const struct err_row *row = row_of(code);

    if (code == 0)
        return 200;
    return row ? row->http : 500;
}

int err_exit(int code)
{
    const struct err_row *row = row_of(code);

    if (code == 0)
        return 0;
    return row ? row->exit : 1;
}

/* Built aside, because tail and the arguments may be e->msg itself. */
PRINTF_LIKE(4, 0)
static void compose(struct err *e, int code, const char *tail, const char *fmt, va_list ap)
{
    char msg[ERR_MSG_MAX];

    vsnprintf(msg, sizeof msg, fmt, ap);
    size_t n = strlen(msg);
    if (tail)
        snprintf(msg + n, sizeof msg - n, ": %s", tail);
    memcpy(e->msg, msg, strlen(msg) + 1);
    e->code = code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    va_start(ap, fmt);
    compose(e, code, code < 0 && !row_of(code) ? strerror(-code) : NULL, fmt, ap);
    va_end(ap);
    return code;
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    va_start(ap, fmt);
    compose(e, code, e->msg[0] ? e->msg : err_text(code), fmt, ap);
    va_end(ap);
    return code;
}
