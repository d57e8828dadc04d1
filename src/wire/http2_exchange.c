/*
 * Requests on HTTP/2 that are no gRPC calls, as http.h presents them.
 */
#include "wire/grpc_internal.h"

#define REPLY_HEADERS_MAX 32   /* fields a handler may add */
#define NAME_BYTES_MAX    1024 /* their names together */

struct exchange {
    enum stream_kind kind;
    struct list node; /* in grpc_conn.exchanges */
    struct grpc_conn *conn;
    struct http2_stream *stream;
    struct http_exchange x;
    struct http_request req;
    struct buf head; /* the bytes req's slices point into */
    struct buf body;
    bool waiting; /* the handler has been called */
};

static void exchange_free(struct exchange *x)
{
    list_del(&x->node);
    x->conn->open--;
    x->conn->request_bytes -= x->body.n;
    if (x->stream)
        http2_stream_set_user(x->stream, NULL);
    buf_deinit(&x->head);
    buf_deinit(&x->body);
    free(x);
}

void respond_status(struct http2_stream *s, int status)
{
    char digits[16];

    snprintf(digits, sizeof digits, "%d", status);
    struct http_header h = {SLICE_LIT(":status"), slice_str(digits)};
    http2_respond(s, &h, 1, true);
}

static bool name_is(struct slice name, const char *want)
{
    return name.n == strlen(want) && strncasecmp((const char *)name.p, want, name.n) == 0;
}

/* Fields that speak about an HTTP/1 connection are errors in HTTP/2 (RFC 9113 section 8.2.2). */
static bool is_connection_field(struct slice name)
{
    static const char *const names[] = {"connection",        "keep-alive", "proxy-connection",
                                        "transfer-encoding", "upgrade",    "content-length"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (name_is(name, names[i]))
            return true;
    return false;
}

static struct slice lower(struct slice name, uint8_t *to)
{
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        to[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
    }
    return slice_of(to, name.n);
}

static size_t reply_fields(struct http_header *to, const struct http_header *from, size_t n,
                           uint8_t *names)
{
    size_t count = 0, used = 0;

    for (size_t i = 0; i < n && count < REPLY_HEADERS_MAX; i++) {
        if (is_connection_field(from[i].name) || from[i].name.n > NAME_BYTES_MAX - used)
            continue;
        to[count].name = lower(from[i].name, names + used);
        to[count++].value = from[i].value;
        used += from[i].name.n;
    }
    return count;
}

static void reply(struct http_exchange *hx, int status, const struct http_header *headers, size_t n,
                  struct slice body)
{
    struct exchange *x = container_of(hx, struct exchange, x);
    struct http_header h[REPLY_HEADERS_MAX + 2];
    uint8_t names[NAME_BYTES_MAX];
    char digits[16], length[24];
    bool has_body = status >= 200 && status != 204 && status != 304;

    assert(x->stream);
    snprintf(digits, sizeof digits, "%d", status);
    snprintf(length, sizeof length, "%zu", body.n);
    h[0] = (struct http_header){SLICE_LIT(":status"), slice_str(digits)};
    size_t count = 1 + reply_fields(h + 1, headers, n, names);
    if (has_body)
        h[count++] = (struct http_header){SLICE_LIT("content-length"), slice_str(length)};
    if (body.n == 0 || !has_body || slice_eq_str(x->req.method, "HEAD")) {
        http2_respond(x->stream, h, count, true);
    } else {
        http2_respond(x->stream, h, count, false);
        (void)http2_send(x->stream, body); /* one body fits into an empty queue */
        http2_send_end(x->stream);
    }
    exchange_free(x);
}

static const struct http_exchange_ops exchange_ops = {reply};

static struct slice keep(struct buf *b, struct slice s)
{
    struct slice kept = {b->p + b->n, s.n};

    (void)buf_append_slice(b, s); /* room was reserved: the memory does not move */
    return kept;
}

static void keep_request(struct exchange *x, const struct request_head *head,
                         const struct http_header *h, size_t n)
{
    struct http_request *r = &x->req;
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += h[i].name.n + h[i].value.n;
    buf_init(&x->head, 2 * LIMIT_HEADER_BYTES);
    (void)buf_reserve(&x->head, bytes + 1);
    for (size_t i = 0; i < n; i++)
        if (h[i].name.n && h[i].name.p[0] != ':')
            r->headers[r->nheaders++] =
                (struct http_header){keep(&x->head, h[i].name), keep(&x->head, h[i].value)};
    struct slice path = keep(&x->head, head->path);
    const uint8_t *q = path.n ? memchr(path.p, '?', path.n) : NULL;
    r->path = q ? slice_of(path.p, (size_t)(q - path.p)) : path;
    r->query = q ? slice_skip(path, r->path.n + 1) : SLICE_EMPTY;
    r->method = keep(&x->head, head->method);
    r->authority = keep(&x->head, head->authority);
    r->keep_alive = true;
    r->version = 20;
}

void exchange_begin(struct grpc_conn *c, struct http2_stream *s, const struct request_head *head,
                    const struct http_header *h, size_t n)
{
    if (!c->conf->http) {
        respond_status(s, 404);
        return;
    }
    struct exchange *x = xcalloc(1, sizeof *x);
    x->kind = STREAM_EXCHANGE;
    x->conn = c;
    x->stream = s;
    x->x.ops = &exchange_ops;
    x->x.req = &x->req;
    keep_request(x, head, h, n);
    buf_init(&x->body, LIMIT_HTTP1_BODY);
    list_add_tail(&c->exchanges, &x->node);
    c->open++;
    http2_stream_set_user(s, x);
}

void exchange_data(struct exchange *x, struct slice data)
{
    x->conn->request_bytes += data.n;
    if (x->conn->request_bytes > LIMIT_CONN_REQUESTS || buf_append_slice(&x->body, data) < 0) {
        x->conn->request_bytes -= data.n;
        respond_status(x->stream, 413);
        exchange_free(x);
    }
}

void exchange_end(struct exchange *x)
{
    x->req.body = buf_slice(&x->body);
    x->waiting = true;
    x->conn->conf->http(x->conn->conf->http_ctx, &x->x);
}

void exchange_lost(struct exchange *x)
{
    x->stream = NULL;
    if (x->waiting && x->x.on_abort)
        x->x.on_abort(&x->x);
    exchange_free(x);
}
