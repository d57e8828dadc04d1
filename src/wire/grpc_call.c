/*
 * One call's life: begin, messages in, answers out, and the four ways to end (finish, abort, lost
 * transport, refused at once).
 */
#include "wire/grpc_internal.h"
#include "wire/pb.h"

#define HEADER(n, v)                                                                               \
    {                                                                                              \
        SLICE_LIT(n), SLICE_LIT(v)                                                                 \
    }
static const struct http_header answer_headers[] = {
    HEADER(":status", "200"),
    HEADER("content-type", "application/grpc"),
};
static const struct http_header ok_trailers[] = {HEADER("grpc-status", "0")};

/*
 * The pool.
 */

struct grpc_call *call_take(struct grpc_methods *m)
{
    struct grpc_call *call;

    if (m->idle == 0) {
        call = xcalloc(1, sizeof *call);
        arena_init(&call->arena, LIMIT_ARENA_BYTES);
        return call;
    }
    call = list_first(&m->idle_calls, struct grpc_call, node);
    list_del(&call->node);
    m->idle--;
    struct arena arena = call->arena;
    *call = (struct grpc_call){.arena = arena};
    return call;
}

static void call_release(struct grpc_call *call)
{
    struct grpc_conn *c = call->conn;
    struct grpc_methods *m = c->conf->methods;

    list_del(&call->node);
    c->open--;
    c->request_bytes -= call->held;
    grpc_reader_deinit(&call->reader);
    arena_reset(&call->arena);
    if (m->idle == CALL_POOL_MAX) {
        arena_deinit(&call->arena);
        free(call);
        return;
    }
    /* The last one used is the first one reused: its memory is warm. */
    list_add_head(&m->idle_calls, &call->node);
    m->idle++;
}

void call_pool_free(struct grpc_methods *m)
{
    list_for_each (it, &m->idle_calls) {
        struct grpc_call *call = container_of(it, struct grpc_call, node);
        arena_deinit(&call->arena);
        free(call);
    }
    list_init(&m->idle_calls);
    m->idle = 0;
}

/*
 * Answers.
 */

/* Fills ret with grpc-status and grpc-message; the strings live in text and digits. */
static size_t status_fields(struct http_header ret[2], int status, const char *text,
                            struct buf *enc, char digits[4])
{
    struct slice t = slice_str(text);

    snprintf(digits, 4, "%u", (unsigned)status % 100);
    ret[0] = (struct http_header){SLICE_LIT("grpc-status"), slice_str(digits)};
    if (t.n == 0)
        return 1;
    t.n = MIN(t.n, (size_t)GRPC_TEXT_MAX);
    (void)grpc_text_encode(t, enc); /* enc is large enough for all of it escaped */
    ret[1] = (struct http_header){SLICE_LIT("grpc-message"), buf_slice(enc)};
    return 2;
}

/* The whole answer in one header block (trailers-only), for calls that fail at once. */
static void answer_only(struct http2_stream *s, int status, const char *text)
{
    struct http_header h[4] = {answer_headers[0], answer_headers[1]};
    char digits[4];
    cleanup_buf struct buf enc;

    buf_init(&enc, 3 * GRPC_TEXT_MAX);
    size_t n = status_fields(h + 2, status, text, &enc, digits);
    http2_respond(s, h, 2 + n, true);
}

static void answer_trailers(struct http2_stream *s, int status, const char *text)
{
    struct http_header h[2];
    char digits[4];

    if (status == GRPC_OK) {
        http2_send_trailers_static(s, ok_trailers, ARRAY_LEN(ok_trailers));
        return;
    }
    cleanup_buf struct buf enc;
    buf_init(&enc, 3 * GRPC_TEXT_MAX);
    http2_send_trailers(s, h, status_fields(h, status, text, &enc, digits));
}

static void count_end(struct grpc_call *call, int status)
{
    struct grpc_method_stats *st = &call->entry->stats;

    st->handled[status >= 0 && status < (int)ARRAY_LEN(st->handled) ? status : GRPC_UNKNOWN]++;
    if (call->counted)
        call->conn->conf->methods->unary_open--;
    call->counted = false;
}

/* Lets go of stream and call; the call's memory only when no callback runs in it. */
static void call_end(struct grpc_call *call, int status)
{
    assert(!call->finished);
    call->finished = true;
    count_end(call, status);
    if (call->stream)
        http2_stream_set_user(call->stream, NULL);
    call->stream = NULL;
    if (!call->busy)
        call_release(call);
}

void grpc_call_finish(struct grpc_call *call, int status, const char *text)
{
    if (call->finished)
        return;
    if (call->stream && call->answered)
        answer_trailers(call->stream, status, text);
    else if (call->stream)
        answer_only(call->stream, status, text);
    call_end(call, status);
}

void grpc_call_fail(struct grpc_call *call, int code)
{
    grpc_call_finish(call, err_grpc(code), err_text(code));
}

static int fail_too_large(struct grpc_call *call, size_t n)
{
    char text[128];

    snprintf(text, sizeof text, "grpc: trying to send message larger than max (%zu vs. %u)", n,
             LIMIT_RESPONSE_BYTES);
    grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, text);
    return ERR_LIMIT;
}

/* Room for a message of n bytes behind its head in the stream's queue. */
static int message_room(struct grpc_call *call, size_t n, uint8_t **ret)
{
    if (!call->stream || call->finished)
        return ERR_CANCELED;
    if (n > LIMIT_RESPONSE_BYTES)
        return fail_too_large(call, n);
    if (!call->answered)
        http2_respond_static(call->stream, answer_headers, ARRAY_LEN(answer_headers));
    call->answered = true;
    uint8_t *p = http2_send_reserve(call->stream, GRPC_FRAME_HEAD + n);
    if (!p)
        return fail_too_large(call, n + http2_stream_queued(call->stream));
    grpc_frame_head(p, n);
    call->entry->stats.msg_sent++;
    call->conn->conf->methods->bytes_sent += n;
    *ret = p + GRPC_FRAME_HEAD;
    return 0;
}

int grpc_call_send(struct grpc_call *call, const ProtobufCMessage *msg)
{
    uint8_t *room;
    size_t n = protobuf_c_message_get_packed_size(msg);
    int r = message_room(call, n, &room);

    if (r < 0)
        return r;
    size_t packed = protobuf_c_message_pack(msg, room);
    assert(packed == n);
    return 0;
}

int grpc_call_send_parts(struct grpc_call *call, const struct slice *parts, size_t nparts)
{
    uint8_t *room;
    size_t n = 0;

    for (size_t i = 0; i < nparts; i++)
        n += parts[i].n;
    int r = message_room(call, n, &room);
    if (r < 0)
        return r;
    for (size_t i = 0; i < nparts; i++) {
        if (parts[i].n)
            memcpy(room, parts[i].p, parts[i].n);
        room += parts[i].n;
    }
    return 0;
}

void grpc_call_reply(struct grpc_call *call, const ProtobufCMessage *msg)
{
    if (grpc_call_send(call, msg) != ERR_LIMIT)
        grpc_call_finish(call, GRPC_OK, NULL);
}

/*
 * Ends that are not the method's.
 */

static void tell_canceled(struct grpc_call *call)
{
    bool busy = call->busy;

    if (!call->started || !call->m->on_cancel)
        return;
    call->busy = true;
    call->m->on_cancel(call);
    call->busy = busy;
}

void call_abort(struct grpc_call *call, int status, const char *text)
{
    bool busy = call->busy;

    call->busy = true;
    tell_canceled(call);
    grpc_call_finish(call, status, text);
    call->busy = busy;
    if (!busy)
        call_release(call);
}

void call_lost(struct grpc_call *call)
{
    call->stream = NULL;
    call_abort(call, GRPC_CANCELED, NULL);
}

/*
 * What comes in.
 */

static void keep_metadata(struct grpc_call *call, const struct http_header *h, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += h[i].name.n + h[i].value.n;
    call->metadata = arena_alloc(&call->arena, n * sizeof *h);
    uint8_t *p = arena_alloc(&call->arena, bytes);
    assert(call->metadata && p); /* far below the arena's maximum */
    for (size_t i = 0; i < n; i++) {
        if (h[i].name.n == 0 || h[i].name.p[0] == ':')
            continue;
        struct http_header *to = &call->metadata[call->nmetadata++];
        *to = (struct http_header){{p, h[i].name.n}, {p + h[i].name.n, h[i].value.n}};
        memcpy(p, h[i].name.p, h[i].name.n);
        p += h[i].name.n;
        if (h[i].value.n)
            memcpy(p, h[i].value.p, h[i].value.n);
        p += h[i].value.n;
    }
}

static uint64_t later(uint64_t now_ns, uint64_t timeout_ns)
{
    uint64_t at;

    return __builtin_add_overflow(now_ns, timeout_ns, &at) ? UINT64_MAX : at;
}

static struct grpc_call *call_new(struct grpc_conn *c, struct http2_stream *s,
                                  struct method_entry *entry)
{
    struct grpc_call *call = call_take(c->conf->methods);

    call->kind = STREAM_CALL;
    call->conn = c;
    call->stream = s;
    call->entry = entry;
    call->m = entry->stats.method;
    call->deadline_ns = UINT64_MAX;
    grpc_reader_init(&call->reader, c->conf->request_max);
    list_add_tail(&c->calls, &call->node);
    c->open++;
    http2_stream_set_user(s, call);
    entry->stats.started++;
    return call;
}

static void refuse_unknown(struct grpc_conn *c, struct http2_stream *s, struct slice path)
{
    char text[512];

    if (path.n > 200)
        path.n = 200;
    grpc_unknown_path(c->conf->methods, path, text, sizeof text);
    answer_only(s, GRPC_UNIMPLEMENTED, text);
}

void call_begin(struct grpc_conn *c, struct http2_stream *s, const struct request_head *head,
                const struct http_header *h, size_t n)
{
    struct method_entry *entry =
        c->conf->methods ? map_get(&c->conf->methods->by_path, head->path) : NULL;
    uint64_t timeout_ns;

    if (!entry) {
        refuse_unknown(c, s, head->path);
        return;
    }
    if (head->timeout.p && grpc_timeout_parse(head->timeout, &timeout_ns) < 0) {
        answer_only(s, GRPC_INTERNAL, "malformed grpc-timeout");
        return;
    }
    struct grpc_call *call = call_new(c, s, entry);
    if (head->timeout.p) {
        call->deadline_ns = later(c->now_ns, timeout_ns);
        c->deadline_ns = MIN(c->deadline_ns, call->deadline_ns);
    }
    keep_metadata(call, h, n);
    if (call->m->state_size) {
        call->state = arena_alloc(&call->arena, call->m->state_size);
        assert(call->state);
        memset(call->state, 0, call->m->state_size);
    }
}

/* The memory a call's request takes, known to the connection. */
static int hold(struct grpc_call *call, size_t held)
{
    struct grpc_conn *c = call->conn;

    c->request_bytes += held - call->held;
    call->held = held;
    return c->request_bytes > LIMIT_CONN_REQUESTS ? ERR_LIMIT : 0;
}

static void deliver(struct grpc_call *call, struct arena *a, struct slice raw)
{
    const ProtobufCMessage *msg = pb_unpack(call->m->request, a, raw);

    call->entry->stats.msg_received++;
    call->conn->conf->methods->bytes_received += raw.n;
    if (!msg) {
        call_abort(call, GRPC_INTERNAL, "grpc: error unmarshalling request");
        return;
    }
    call->started = true;
    call->m->on_message(call, msg, raw);
}

/* A call that takes one message keeps it until the client has ended: what follows it decides
 * whether it is run at all. A message put together by the reader stays there, as no second one will
 * be looked at. */
static void keep_message(struct grpc_call *call, struct slice msg)
{
    if (call->got_message) {
        call_abort(call, GRPC_INTERNAL, "grpc: more than one request for a unary call");
        return;
    }
    call->got_message = true;
    call->raw = msg;
    if (msg.p != call->reader.body.p)
        call->raw.p = arena_dup(&call->arena, msg.p, msg.n);
    if (!call->raw.p)
        call_abort(call, GRPC_RESOURCE_EXHAUSTED, err_text(ERR_LIMIT));
}

static void abort_compressed(struct grpc_call *call)
{
    struct slice enc = grpc_call_metadata(call, "grpc-encoding");
    char text[128];

    snprintf(text, sizeof text, "grpc: Decompressor is not installed for grpc-encoding \"%.*s\"",
             (int)MIN(enc.n, (size_t)40), enc.p ? (const char *)enc.p : "");
    call_abort(call, GRPC_UNIMPLEMENTED, text);
}

static void abort_too_large(struct grpc_call *call)
{
    char text[128];

    snprintf(text, sizeof text, "grpc: received message larger than max (%zu vs. %zu)",
             call->reader.need, call->reader.max);
    call_abort(call, GRPC_RESOURCE_EXHAUSTED, text);
}

static void got_message(struct grpc_call *call, struct slice msg)
{
    struct arena *scratch = &call->conn->conf->methods->scratch;

    if (!call->m->client_streaming) {
        keep_message(call, msg);
        return;
    }
    deliver(call, scratch, msg);
    arena_reset(scratch);
}

/* Gives the call what came; true while there may be more in *data. */
static bool next_message(struct grpc_call *call, struct slice *data)
{
    struct slice msg;

    switch (grpc_reader_next(&call->reader, data, &msg)) {
    case GRPC_READ_MORE:
        return data->n > 0;
    case GRPC_READ_MESSAGE:
        got_message(call, msg);
        return true;
    case GRPC_READ_COMPRESSED:
        abort_compressed(call);
        return false;
    case GRPC_READ_TOO_LARGE:
        abort_too_large(call);
        return false;
    }
    return false;
}

static void leave(struct grpc_call *call)
{
    call->busy = false;
    if (call->finished)
        call_release(call);
}

void call_data(struct grpc_call *call, struct slice data)
{
    call->busy = true;
    while (next_message(call, &data) && !call->finished)
        ;
    if (!call->finished && hold(call, call->reader.body.n + call->arena.used) < 0)
        call_abort(call, GRPC_RESOURCE_EXHAUSTED, "grpc: too many request bytes on one connection");
    leave(call);
}

static void run_single(struct grpc_call *call)
{
    if (!call->got_message) {
        call_abort(call, GRPC_INTERNAL, "grpc: request ended without a message");
        return;
    }
    if (http2_queued(call->conn->h2) > LIMIT_CONN_QUEUE && !call->parked) {
        call->parked = true;
        list_del(&call->node);
        list_add_tail(&call->conn->parked, &call->node);
        return;
    }
    if (!call->m->server_streaming) {
        call->counted = true;
        call->conn->conf->methods->unary_open++;
    }
    deliver(call, &call->arena, call->raw);
}

void call_half_close(struct grpc_call *call)
{
    call->busy = true;
    if (grpc_reader_midway(&call->reader)) {
        call_abort(call, GRPC_INTERNAL, "unexpected EOF");
    } else if (!call->m->client_streaming) {
        run_single(call);
    } else if (call->m->on_half_close) {
        call->started = true;
        call->m->on_half_close(call);
    } else {
        grpc_call_finish(call, GRPC_OK, NULL);
    }
    leave(call);
}

void call_unpark(struct grpc_call *call)
{
    list_del(&call->node);
    list_add_tail(&call->conn->calls, &call->node);
    call->busy = true;
    run_single(call);
    leave(call);
}

void call_writable(struct grpc_call *call)
{
    if (call->m->on_writable)
        call->m->on_writable(call);
}
