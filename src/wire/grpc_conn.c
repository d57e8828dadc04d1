#include "wire/grpc_internal.h"

static struct grpc_conn *conn_of(struct http2_stream *s)
{
    return http2_user(http2_stream_conn(s));
}

/* Names are told apart by length first: one comparison for most fields. */
static void look_at(struct request_head *head, const struct http_header *h)
{
    static const struct {
        const char *name;
        size_t n, offset;
    } wanted[] = {
        {":path", 5, offsetof(struct request_head, path)},
        {":method", 7, offsetof(struct request_head, method)},
        {":authority", 10, offsetof(struct request_head, authority)},
        {"content-type", 12, offsetof(struct request_head, content_type)},
        {"grpc-timeout", 12, offsetof(struct request_head, timeout)},
    };

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (h->name.n != wanted[i].n || memcmp(h->name.p, wanted[i].name, wanted[i].n) != 0)
            continue;
        *(struct slice *)(void *)((char *)head + wanted[i].offset) = h->value;
        return;
    }
    if (h->name.n == 4 && memcmp(h->name.p, "host", 4) == 0 && head->authority.n == 0)
        head->authority = h->value;
}

static void on_headers(struct http2_stream *s, const struct http_header *h, size_t n,
                       bool too_large, bool end)
{
    struct grpc_conn *c = conn_of(s);
    struct request_head head = {0};

    if (too_large) {
        respond_status(s, 431);
        return;
    }
    for (size_t i = 0; i < n; i++)
        look_at(&head, &h[i]);
    if (is_grpc(head.content_type)) {
        if (slice_eq_str(head.method, "POST"))
            call_begin(c, s, &head, h, n);
        else
            respond_status(s, 405);
    } else if (c->conf->methods && map_get(&c->conf->methods->by_path, head.path)) {
        respond_status(s, 415);
    } else {
        exchange_begin(c, s, &head, h, n);
    }
}

static void on_data(struct http2_stream *s, struct slice data)
{
    enum stream_kind *kind = http2_stream_user(s);

    if (!kind)
        return;
    if (*kind == STREAM_CALL)
        call_data((struct grpc_call *)kind, data);
    else
        exchange_data((struct exchange *)kind, data);
}

static void on_end(struct http2_stream *s)
{
    enum stream_kind *kind = http2_stream_user(s);

    if (!kind)
        return;
    if (*kind == STREAM_CALL)
        call_half_close((struct grpc_call *)kind);
    else
        exchange_end((struct exchange *)kind);
}

static void on_writable(struct http2_stream *s)
{
    enum stream_kind *kind = http2_stream_user(s);

    if (kind && *kind == STREAM_CALL)
        call_writable((struct grpc_call *)kind);
}

static void on_close(struct http2_stream *s, uint32_t error)
{
    enum stream_kind *kind = http2_stream_user(s);

    if (!kind)
        return;
    if (*kind == STREAM_CALL)
        call_lost((struct grpc_call *)kind);
    else
        exchange_lost((struct exchange *)kind);
}

static const struct http2_ops ops = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_close = on_close,
};

struct grpc_conn *grpc_conn_new(const struct grpc_conn_conf *conf, uint64_t now_ns)
{
    struct grpc_conn *c = xcalloc(1, sizeof *c);
    struct http2_conf h2 = {
        .server = true,
        .streams_max = conf->streams_max,
        .keepalive_min_ns = conf->keepalive_min_ns,
        .keepalive_interval_ns = conf->keepalive_interval_ns,
        .keepalive_timeout_ns = conf->keepalive_timeout_ns,
        .ops = &ops,
        .user = c,
    };

    c->conf = conf;
    c->deadline_ns = UINT64_MAX;
    list_init(&c->calls);
    list_init(&c->parked);
    list_init(&c->exchanges);
    c->h2 = http2_new(&h2, now_ns);
    return c;
}

void grpc_conn_free(struct grpc_conn *c)
{
    if (!c)
        return;
    http2_free(c->h2);
    assert(c->open == 0 && c->request_bytes == 0);
    assert(list_empty(&c->calls) && list_empty(&c->parked) && list_empty(&c->exchanges));
    free(c);
}

int grpc_conn_feed(struct grpc_conn *c, struct slice in, uint64_t now_ns)
{
    c->now_ns = now_ns;
    return http2_feed(c->h2, in, now_ns);
}

bool grpc_conn_resume(struct grpc_conn *c)
{
    bool ran = false;

    while (!list_empty(&c->parked) && http2_queued(c->h2) <= LIMIT_CONN_QUEUE / 2) {
        call_unpark(list_first(&c->parked, struct grpc_call, node));
        ran = true;
    }
    return ran;
}

struct http2 *grpc_conn_http2(struct grpc_conn *c)
{
    return c->h2;
}

uint64_t grpc_conn_wake_ns(const struct grpc_conn *c)
{
    return MIN(c->deadline_ns, http2_wake_ns(c->h2));
}

/* deadline_ns is only a lower bound: calls that end in time do not move it, so a look at all calls
 * is due once per timeout and not once per call. */
static void pass_deadlines_of(struct grpc_conn *c, struct list *calls)
{
    struct list seen = LIST_INIT(seen);

    /* One by one from a list of its own: on_cancel may end any other call. */
    list_splice_tail(&seen, calls);
    while (!list_empty(&seen)) {
        struct grpc_call *call = list_first(&seen, struct grpc_call, node);
        list_del(&call->node);
        list_add_tail(calls, &call->node);
        if (call->deadline_ns <= c->now_ns)
            call_abort(call, GRPC_DEADLINE_EXCEEDED, err_text(ERR_DEADLINE));
        else
            c->deadline_ns = MIN(c->deadline_ns, call->deadline_ns);
    }
}

void grpc_conn_tick(struct grpc_conn *c, uint64_t now_ns)
{
    c->now_ns = now_ns;
    if (now_ns >= c->deadline_ns) {
        c->deadline_ns = UINT64_MAX;
        pass_deadlines_of(c, &c->calls);
        pass_deadlines_of(c, &c->parked);
    }
    http2_tick(c->h2, now_ns);
}

void grpc_conn_stop(struct grpc_conn *c)
{
    list_splice_tail(&c->calls, &c->parked);
    while (!list_empty(&c->calls))
        call_abort(list_first(&c->calls, struct grpc_call, node), err_grpc(ERR_STOPPED),
                   err_text(ERR_STOPPED));
    http2_shutdown(c->h2);
}

size_t grpc_conn_open(const struct grpc_conn *c)
{
    return c->open;
}
