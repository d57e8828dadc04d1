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

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    e->code = code;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (code < 0 && !row_of(code)) {
        size_t n = strlen(e->msg);
        snprintf(e->msg + n, sizeof e->msg - n, ": %s", strerror(-code));
    }
    return code;
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
    char old[ERR_MSG_MAX];
    va_list ap;

    if (!e)
        return code;
    memcpy(old, e->msg, sizeof old);
    e->code = code;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->msg);
    snprintf(e->msg + n, sizeof e->msg - n, ": %s", old[0] ? old : err_text(code));
    return code;
}
