/*
 * http: requests and answers, whichever HTTP version carried them.
 *
 * A handler gets a whole request (body included, bounded) and answers it now or later, once. The
 * exchange belongs to the connection; a handler that answers later must install on_abort and forget
 * the exchange when it is called. All on the loop's thread.
 */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include "base/slice.h"
#include "base/util.h"
#include "wire/limits.h"

struct http_header {
    struct slice name;  /* as sent in HTTP/1, lower case in HTTP/2; compare with http_header_get */
    struct slice value; /* without surrounding blanks */
};

struct http_request {
    struct slice method;    /* any token, e.g. LIST */
    struct slice path;      /* before '?', still percent-encoded */
    struct slice query;     /* after '?', empty if none */
    struct slice authority; /* Host or :authority */
    struct http_header headers[LIMIT_HEADER_COUNT];
    size_t nheaders;
    struct slice body;
    bool keep_alive; /* HTTP/1: the connection may go on after this exchange */
    int version;     /* 10, 11 or 20 */
};

/* Case-insensitive; the first match, or an empty slice with p == NULL. */
struct slice http_header_get(const struct http_request *r, const char *name);
/* Case-insensitive in ASCII, as header names and most tokens in header values are. */
bool http_token_is(struct slice token, const char *lower);
/* Whether a comma-separated header value holds the token, e.g. "close" in Connection. */
bool http_list_has(struct slice value, const char *lower);
/* 0 to 15, or -1. */
int http_hex_digit(uint8_t c);
struct buf;
/* Appends in with its %XX decoded, and '+' as a blank if plus (in queries, not in paths). What
 * comes out may hold any byte, NUL too. 0, or -EINVAL (a '%' without two hex digits), -ENOBUFS;
 * then out is unchanged. */
int http_percent_decode(struct slice in, bool plus, struct buf *out);
/* Appends the percent-decoded value of the first query parameter of that name to out (names are
 * compared decoded); a parameter without '=' is empty. 0, or -ENOENT, -EINVAL, -ENOBUFS. */
int http_query_get(struct slice query, const char *name, struct buf *out);
/* "OK", "Not Found" ... for a status; "Unknown" otherwise. */
const char *http_status_text(int status);

struct http_exchange;
struct http_exchange_ops {
    void (*reply)(struct http_exchange *x, int status, const struct http_header *headers, size_t n,
                  struct slice body);
};
struct http_exchange {
    const struct http_exchange_ops *ops;
    const struct http_request *req;            /* valid until the reply */
    void (*on_abort)(struct http_exchange *x); /* the peer is gone; set by a handler that waits */
    void *user;                                /* the handler's own */
};

/* Answers the exchange; Content-Length and Date-free minimal headers are added. Body is copied.
 * HEAD gets the headers only. The exchange must not be used afterwards. Headers given to ops->reply
 * must not name Content-Length, Transfer-Encoding or Connection; control bytes in values are sent
 * as blanks. */
static inline void http_reply(struct http_exchange *x, int status, const char *content_type,
                              struct slice body)
{
    struct http_header h = {SLICE_LIT("Content-Type"), slice_str(content_type)};

    x->ops->reply(x, status, &h, content_type ? 1 : 0, body);
}

/* The one function an HTTP application implements. */
typedef void http_handler(void *ctx, struct http_exchange *x);

#endif
