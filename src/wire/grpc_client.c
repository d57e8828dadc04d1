#include "wire/grpc_client.h"

#include "wire/grpc_text.h"
#include "wire/pb.h"

#define MESSAGE_MAX      INT32_MAX /* grpc-go's own bound for clients of the store */
#define STATUS_TEXT_MAX  (64u * 1024)
#define REQUEST_FIELDS   8
#define REQUEST_METADATA (LIMIT_HEADER_COUNT - REQUEST_FIELDS)

struct grpc_client {
    struct http2 *h2;
    struct list calls;
    size_t open;
    char *authority, *user_agent;
    bool tls;
    size_t response_max;
    void *user;
    const char *lost_text; /* why the connection is going, for calls that end with it */
    char *goaway_text;
};

struct grpc_client_call {
    struct list node;
    struct grpc_client *c;
    struct http2_stream *stream;
    const struct grpc_client_handler *handler;
    void *user;
    uint64_t deadline_ns;
    struct grpc_reader reader;
    int http_status; /* of an answer that is not gRPC; 0: it is */
    bool busy;       /* inside a callback: free later */
    bool over;
    bool half_closed;
};

/*
 * Ends.
 */

static void call_release(struct grpc_client_call *call)
{
    list_del(&call->node);
    call->c->open--;
    grpc_reader_deinit(&call->reader);
    free(call);
}

static void call_over(struct grpc_client_call *call)
{
    call->over = true;
    if (call->stream) {
        http2_stream_set_user(call->stream, NULL);
        if (!call->half_closed) /* answered before we had ended: nothing more will come from us */
            http2_reset(call->stream, HTTP2_NO_ERROR);
    }
    call->stream = NULL;
    if (!call->busy)
        call_release(call);
}

static void end_with(struct grpc_client_call *call, int status, struct slice text,
                     const struct http_header *trailers, size_t n)
{
    bool busy = call->busy;

    if (call->over)
        return;
    call->over = true; /* no second status from within on_status */
    call->busy = true;
    call->handler->on_status(call, status, text, trailers, n);
    call->busy = busy;
    call_over(call);
}

/* Ends a call for a reason on this side and tells the server. */
static void fail(struct grpc_client_call *call, int status, const char *text)
{
    if (call->stream)
        http2_reset(call->stream, HTTP2_CANCEL);
    end_with(call, status, slice_str(text), NULL, 0);
}

/* PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping", as grpc-go words it. */
static void end_by_reset(struct grpc_client_call *call, uint32_t error)
{
    static const struct {
        uint32_t error;
        int status;
    } map[] = {{HTTP2_REFUSED_STREAM, GRPC_UNAVAILABLE},
               {HTTP2_CANCEL, GRPC_CANCELED},
               {HTTP2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED},
               {12, GRPC_PERMISSION_DENIED}}; /* INADEQUATE_SECURITY */
    int status = GRPC_INTERNAL;
    char text[96];

    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        if (map[i].error == error)
            status = map[i].status;
    snprintf(text, sizeof text, "stream terminated by RST_STREAM with error code: %u", error);
    end_with(call, status, slice_str(text), NULL, 0);
}

/* An answer that is not gRPC (http-grpc-status-mapping.md). */
static int status_of_http(int http)
{
    switch (http) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

static void end_by_http(struct grpc_client_call *call)
{
    char text[96];

    snprintf(text, sizeof text, "unexpected HTTP status code received from server: %d",
             call->http_status);
    end_with(call, status_of_http(call->http_status), slice_str(text), NULL, 0);
}

/*
 * What comes in.
 */

static struct slice field(const struct http_header *h, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq_str(h[i].name, name))
            return h[i].value;
    return SLICE_EMPTY;
}

static int number(struct slice s)
{
    int v = 0;

    if (s.n == 0 || s.n > 4)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        v = v * 10 + (s.p[i] - '0');
    }
    return v;
}

static void end_by_trailers(struct grpc_client_call *call, const struct http_header *h, size_t n)
{
    int status = number(field(h, n, "grpc-status"));

    if (status < 0) {
        fail(call, GRPC_INTERNAL, "malformed grpc-status");
        return;
    }
    cleanup_buf struct buf text;
    buf_init(&text, STATUS_TEXT_MAX);
    (void)grpc_text_decode(field(h, n, "grpc-message"), &text);
    end_with(call, status, buf_slice(&text), h, n);
}

static void leave(struct grpc_client_call *call)
{
    call->busy = false;
    if (call->over)
        call_release(call);
}

static void on_headers(struct http2_stream *s, const struct http_header *h, size_t n,
                       bool too_large, bool end)
{
    struct grpc_client_call *call = http2_stream_user(s);
    int http = number(field(h, n, ":status"));

    if (!call)
        return;
    call->busy = true;
    if (too_large) {
        fail(call, GRPC_INTERNAL, "grpc: header list of the answer is too large");
    } else if (field(h, n, "grpc-status").p && end) {
        end_by_trailers(call, h, n);
    } else if (http != 200 ||
               !slice_starts(field(h, n, "content-type"), SLICE_LIT("application/grpc"))) {
        call->http_status = http;
        if (end)
            end_by_http(call);
    } else if (call->handler->on_headers) {
        call->handler->on_headers(call, h, n);
    }
    leave(call);
}

static void on_trailers(struct http2_stream *s, const struct http_header *h, size_t n)
{
    struct grpc_client_call *call = http2_stream_user(s);

    if (!call)
        return;
    call->busy = true;
    if (call->http_status)
        end_by_http(call);
    else if (grpc_reader_midway(&call->reader))
        fail(call, GRPC_INTERNAL, "unexpected EOF");
    else
        end_by_trailers(call, h, n);
    leave(call);
}

static bool next_message(struct grpc_client_call *call, struct slice *data)
{
    struct slice msg;
    char text[128];

    switch (grpc_reader_next(&call->reader, data, &msg)) {
    case GRPC_READ_MORE:
        return data->n > 0;
    case GRPC_READ_MESSAGE:
        call->handler->on_message(call, msg);
        return true;
    case GRPC_READ_COMPRESSED:
        fail(call, GRPC_INTERNAL, "grpc: compressed message with identity encoding");
        return false;
    case GRPC_READ_TOO_LARGE:
        snprintf(text, sizeof text, "grpc: received message larger than max (%zu vs. %zu)",
                 call->reader.need, call->reader.max);
        fail(call, GRPC_RESOURCE_EXHAUSTED, text);
        return false;
    }
    return false;
}

static void on_data(struct http2_stream *s, struct slice data)
{
    struct grpc_client_call *call = http2_stream_user(s);

    if (!call || call->http_status)
        return;
    call->busy = true;
    while (next_message(call, &data) && !call->over)
        ;
    leave(call);
}

static void on_end(struct http2_stream *s)
{
    struct grpc_client_call *call = http2_stream_user(s);

    if (!call)
        return;
    if (call->http_status)
        end_by_http(call);
    else
        fail(call, GRPC_INTERNAL, "server closed the stream without sending trailers");
}

static void on_writable(struct http2_stream *s)
{
    struct grpc_client_call *call = http2_stream_user(s);

    if (call && call->handler->on_writable)
        call->handler->on_writable(call);
}

static void on_close(struct http2_stream *s, uint32_t error)
{
    struct grpc_client_call *call = http2_stream_user(s);

    if (!call)
        return;
    call->stream = NULL;
    if (call->c->lost_text)
        end_with(call, GRPC_UNAVAILABLE, slice_str(call->c->lost_text), NULL, 0);
    else
        end_by_reset(call, error);
}

static void on_goaway(struct http2 *h, uint32_t error, int32_t last, struct slice text)
{
    struct grpc_client *c = http2_user(h);

    if (error == HTTP2_NO_ERROR)
        return;
    free(c->goaway_text);
    c->goaway_text = xasprintf("connection closed by the server: GOAWAY code %u, \"%.*s\"", error,
                               (int)MIN(text.n, (size_t)100), text.p ? (const char *)text.p : "");
}

static const struct http2_ops ops = {
    .on_headers = on_headers,
    .on_trailers = on_trailers,
    .on_data = on_data,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_close = on_close,
    .on_goaway = on_goaway,
};

/*
 * The connection.
 */

struct grpc_client *grpc_client_new(const struct grpc_client_conf *conf, uint64_t now_ns)
{
    struct grpc_client *c = xcalloc(1, sizeof *c);
    struct http2_conf h2 = {
        .keepalive_interval_ns = conf->keepalive_interval_ns,
        .keepalive_timeout_ns = conf->keepalive_timeout_ns,
        .keepalive_without_streams = conf->keepalive_without_streams,
        .ops = &ops,
        .user = c,
    };

    assert(conf->authority && conf->user_agent);
    list_init(&c->calls);
    c->authority = xstrdup(conf->authority);
    c->user_agent = xstrdup(conf->user_agent);
    c->tls = conf->tls;
    c->response_max = conf->response_max ? conf->response_max : MESSAGE_MAX;
    c->user = conf->user;
    c->h2 = http2_new(&h2, now_ns);
    return c;
}

void grpc_client_free(struct grpc_client *c, const char *text)
{
    if (!c)
        return;
    c->lost_text = text ? text : c->goaway_text ? c->goaway_text : "transport is closing";
    http2_free(c->h2);
    assert(list_empty(&c->calls));
    free(c->goaway_text);
    free(c->authority);
    free(c->user_agent);
    free(c);
}

int grpc_client_feed(struct grpc_client *c, struct slice in, uint64_t now_ns)
{
    return http2_feed(c->h2, in, now_ns);
}

void grpc_client_flush(struct grpc_client *c)
{
    http2_flush(c->h2);
}

struct buf *grpc_client_output(struct grpc_client *c)
{
    return http2_output(c->h2);
}

void grpc_client_set_output_hook(struct grpc_client *c, void (*hook)(void *ctx), void *ctx)
{
    http2_set_output_hook(c->h2, hook, ctx);
}

bool grpc_client_done(const struct grpc_client *c)
{
    return http2_done(c->h2);
}

bool grpc_client_usable(const struct grpc_client *c)
{
    return http2_usable(c->h2);
}

uint64_t grpc_client_wake_ns(const struct grpc_client *c)
{
    uint64_t wake = http2_wake_ns(c->h2);

    list_for_each (it, &c->calls)
        wake = MIN(wake, container_of(it, struct grpc_client_call, node)->deadline_ns);
    return wake;
}

void grpc_client_tick(struct grpc_client *c, uint64_t now_ns)
{
    struct list seen = LIST_INIT(seen);

    /* One by one from a list of its own: on_status may end any other call. */
    list_splice_tail(&seen, &c->calls);
    while (!list_empty(&seen)) {
        struct grpc_client_call *call = list_first(&seen, struct grpc_client_call, node);
        list_del(&call->node);
        list_add_tail(&c->calls, &call->node);
        if (call->deadline_ns <= now_ns)
            fail(call, GRPC_DEADLINE_EXCEEDED, err_text(ERR_DEADLINE));
    }
    http2_tick(c->h2, now_ns);
}

void *grpc_client_user(const struct grpc_client *c)
{
    return c->user;
}

size_t grpc_client_open_calls(const struct grpc_client *c)
{
    return c->open;
}

/*
 * Calls.
 */

struct grpc_client_call *grpc_client_open(struct grpc_client *c, const char *path,
                                          uint64_t timeout_ns, uint64_t now_ns,
                                          const struct http_header *metadata, size_t n,
                                          const struct grpc_client_handler *handler, void *user)
{
    char timeout[16];
    struct http_header h[LIMIT_HEADER_COUNT] = {
        {SLICE_LIT(":method"), SLICE_LIT("POST")},
        {SLICE_LIT(":scheme"), c->tls ? SLICE_LIT("https") : SLICE_LIT("http")},
        {SLICE_LIT(":path"), slice_str(path)},
        {SLICE_LIT(":authority"), slice_str(c->authority)},
        {SLICE_LIT("content-type"), SLICE_LIT("application/grpc")},
        {SLICE_LIT("user-agent"), slice_str(c->user_agent)},
        {SLICE_LIT("te"), SLICE_LIT("trailers")},
    };
    size_t count = REQUEST_FIELDS - 1;

    assert(handler && handler->on_message && handler->on_status);
    if (n > REQUEST_METADATA)
        return NULL;
    if (timeout_ns)
        h[count++] = (struct http_header){
            SLICE_LIT("grpc-timeout"), slice_of(timeout, grpc_timeout_format(timeout_ns, timeout))};
    for (size_t i = 0; i < n; i++)
        h[count++] = metadata[i];
    struct http2_stream *s = http2_request(c->h2, h, count, false, NULL);
    if (!s)
        return NULL;
    struct grpc_client_call *call = xcalloc(1, sizeof *call);
    call->c = c;
    call->stream = s;
    call->handler = handler;
    call->user = user;
    if (!timeout_ns || __builtin_add_overflow(now_ns, timeout_ns, &call->deadline_ns))
        call->deadline_ns = UINT64_MAX;
    grpc_reader_init(&call->reader, c->response_max);
    http2_stream_set_user(s, call);
    list_add_tail(&c->calls, &call->node);
    c->open++;
    return call;
}

static uint8_t *message_room(struct grpc_client_call *call, size_t n, int *ret_error)
{
    *ret_error = -EPIPE;
    if (call->over || !call->stream)
        return NULL;
    if (n > MESSAGE_MAX || n + http2_stream_queued(call->stream) > HTTP2_STREAM_QUEUE_MAX / 2) {
        *ret_error = -ENOBUFS;
        return NULL;
    }
    uint8_t *p = http2_send_reserve(call->stream, GRPC_FRAME_HEAD + n);
    if (!p)
        return NULL;
    grpc_frame_head(p, n);
    return p + GRPC_FRAME_HEAD;
}

int grpc_client_send(struct grpc_client_call *call, const ProtobufCMessage *msg)
{
    int error;
    uint8_t *room = message_room(call, protobuf_c_message_get_packed_size(msg), &error);

    if (!room)
        return error;
    protobuf_c_message_pack(msg, room);
    return 0;
}

int grpc_client_send_raw(struct grpc_client_call *call, struct slice encoded)
{
    int error;
    uint8_t *room = message_room(call, encoded.n, &error);

    if (!room)
        return error;
    if (encoded.n)
        memcpy(room, encoded.p, encoded.n);
    return 0;
}

void grpc_client_half_close(struct grpc_client_call *call)
{
    call->half_closed = true;
    if (call->stream)
        http2_send_end(call->stream);
}

void grpc_client_cancel(struct grpc_client_call *call)
{
    if (call->over)
        return;
    if (call->stream)
        http2_reset(call->stream, HTTP2_CANCEL);
    call_over(call);
}

struct grpc_client_call *grpc_client_unary(struct grpc_client *c, const char *path,
                                           uint64_t timeout_ns, uint64_t now_ns,
                                           const struct http_header *metadata, size_t n,
                                           const ProtobufCMessage *msg,
                                           const struct grpc_client_handler *handler, void *user)
{
    struct grpc_client_call *call =
        grpc_client_open(c, path, timeout_ns, now_ns, metadata, n, handler, user);

    if (!call)
        return NULL;
    if (grpc_client_send(call, msg) < 0) {
        grpc_client_cancel(call);
        return NULL;
    }
    grpc_client_half_close(call);
    return call;
}

void *grpc_client_call_user(const struct grpc_client_call *call)
{
    return call->user;
}

void grpc_client_call_set_user(struct grpc_client_call *call, void *user)
{
    call->user = user;
}

struct grpc_client *grpc_client_call_conn(const struct grpc_client_call *call)
{
    return call->c;
}

size_t grpc_client_queued(const struct grpc_client_call *call)
{
    return call->stream ? http2_stream_queued(call->stream) : 0;
}
