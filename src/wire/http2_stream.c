#include "wire/http2_internal.h"

#define FRAME_HEAD    9
#define BULK_BYTES    (16u * 1024) /* one DATA frame */
#define HEADERS_MAX   (LIMIT_HEADER_COUNT + 8)
#define USUAL_MAX     (512u * 1024) /* memory a queue takes at once on the strength of its past */
#define COMPACT_BYTES 4096 /* sent bytes at the front of a queue that are worth a memmove */

struct http2_stream *http2_stream_add(struct http2 *h, int32_t id)
{
    struct http2_stream *s = xcalloc(1, sizeof *s);

    s->h = h;
    s->id = id;
    buf_init(&s->queue, HTTP2_STREAM_QUEUE_MAX);
    list_add_tail(&h->streams, &s->node);
    h->nstreams++;
    return s;
}

void http2_stream_gone(struct http2_stream *s, uint32_t error)
{
    struct http2 *h = s->h;

    list_del(&s->node);
    h->nstreams--;
    h->queued -= s->queue.n - s->head;
    s->ended = s->reset = true; /* for sends from within on_close */
    if (s->announced && h->ops->on_close)
        h->ops->on_close(s, error);
    buf_deinit(&s->queue);
    free(s->trailers);
    free(s);
}

void http2_touch(struct http2 *h)
{
    if (h->dirty)
        return;
    h->dirty = true;
    if (h->hook)
        h->hook(h->hook_ctx);
}

static size_t to_nv(nghttp2_nv *nv, const struct http_header *headers, size_t n, uint8_t flags)
{
    assert(n <= HEADERS_MAX);
    for (size_t i = 0; i < n; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)headers[i].name.p,
                             (uint8_t *)(uintptr_t)headers[i].value.p, headers[i].name.n,
                             headers[i].value.n, flags};
    return n;
}

/* nghttp2 asks how much of the body goes into the next DATA frame. */
static ssize_t body_wanted(nghttp2_session *ng, int32_t id, uint8_t *into, size_t length,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct http2_stream *s = source->ptr;
    size_t have = s->queue.n - s->head;

    if (s->reset || (!have && !s->ended)) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (have > length)
        return (ssize_t)length;
    if (s->ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->ended && s->trailers) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(ng, id, s->trailers, s->ntrailers);
    }
    return (ssize_t)have;
}

static void took(struct http2_stream *s, size_t n)
{
    s->head += n;
    s->h->queued -= n;
    if (s->head == s->queue.n) {
        s->usual = MIN(MAX(s->queue.n, s->usual / 2), USUAL_MAX);
        s->head = 0;
        buf_shrink(&s->queue, COMPACT_BYTES);
    }
    if (s->was_high && http2_stream_queued(s) < HTTP2_LOW_WATER) {
        s->was_high = false;
        if (!s->ended && s->h->ops->on_writable)
            s->h->ops->on_writable(s);
    }
}

int http2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd,
                    size_t length, nghttp2_data_source *source, void *user)
{
    struct http2 *h = user;
    struct http2_stream *s = source->ptr;

    assert(frame->data.padlen == 0);
    if (s->reset) /* since body_wanted, while the output was full */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (h->out.n >= HTTP2_OUTPUT_HIGH)
        return NGHTTP2_ERR_WOULDBLOCK;
    assert(length <= s->queue.n - s->head);
    if (buf_reserve(&h->out, FRAME_HEAD + length) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    memcpy(h->out.p + h->out.n, framehd, FRAME_HEAD);
    if (length)
        memcpy(h->out.p + h->out.n + FRAME_HEAD, s->queue.p + s->head, length);
    h->out.n += FRAME_HEAD + length;
    h->police.forgiven = true;
    took(s, length);
    return 0;
}

/*
 * What users call.
 */

struct http2_stream *http2_request(struct http2 *h, const struct http_header *headers, size_t n,
                                   bool end, void *user)
{
    UNZEROED nghttp2_nv nv[HEADERS_MAX];

    assert(!h->conf.server);
    if (n > HEADERS_MAX || !http2_usable(h))
        return NULL;
    struct http2_stream *s = http2_stream_add(h, 0);
    nghttp2_data_provider body = {{.ptr = s}, body_wanted};
    to_nv(nv, headers, n, NGHTTP2_NV_FLAG_NONE);
    s->user = user;
    s->ended = end;
    s->answered = true;
    s->id = nghttp2_submit_request(h->ng, NULL, nv, n, end ? NULL : &body, s);
    if (s->id < 0) {
        http2_stream_gone(s, HTTP2_REFUSED_STREAM);
        return NULL;
    }
    s->announced = true;
    http2_touch(h);
    return s;
}

static int respond(struct http2_stream *s, const struct http_header *headers, size_t n, bool end,
                   uint8_t flags)
{
    UNZEROED nghttp2_nv nv[HEADERS_MAX];
    nghttp2_data_provider body = {{.ptr = s}, body_wanted};

    assert(s->h->conf.server);
    if (s->answered || s->reset)
        return -EPIPE;
    if (n > HEADERS_MAX)
        return -ENOBUFS;
    to_nv(nv, headers, n, flags);
    s->answered = true;
    s->ended = end;
    s->h->police.forgiven = true;
    if (nghttp2_submit_response(s->h->ng, s->id, nv, n, end ? NULL : &body) < 0)
        return -EPIPE;
    http2_touch(s->h);
    return 0;
}

int http2_respond(struct http2_stream *s, const struct http_header *headers, size_t n, bool end)
{
    return respond(s, headers, n, end, NGHTTP2_NV_FLAG_NONE);
}

#define STATIC_NV (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

int http2_respond_static(struct http2_stream *s, const struct http_header *headers, size_t n)
{
    return respond(s, headers, n, false, STATIC_NV);
}

/* A stream with more than a frame waiting shares the connection in turns; without this nghttp2
 * sends one stream to its end before the next. */
static void take_turns(struct http2_stream *s)
{
    nghttp2_extpri pri = {NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};

    s->bulk = true;
    if (s->h->conf.server)
        nghttp2_session_change_extpri_stream_priority(s->h->ng, s->id, &pri, 1);
}

static void queued_more(struct http2_stream *s, size_t n)
{
    size_t have = http2_stream_queued(s);

    s->h->queued += n;
    if (have >= HTTP2_LOW_WATER)
        s->was_high = true;
    if (have > BULK_BYTES && !s->bulk)
        take_turns(s);
    if (s->deferred) {
        s->deferred = false;
        nghttp2_session_resume_data(s->h->ng, s->id);
    }
    http2_touch(s->h);
}

uint8_t *http2_send_reserve(struct http2_stream *s, size_t n)
{
    if (s->ended || s->reset)
        return NULL;
    if (s->head >= COMPACT_BYTES && s->head > s->queue.n / 2) {
        buf_consume(&s->queue, s->head);
        s->head = 0;
    }
    /* A stream that sends much in each turn grows its queue in one step, not in twenty. */
    size_t expected = s->queue.cap == 0 && n <= s->usual ? s->usual : n;
    if (buf_reserve(&s->queue, expected) < 0)
        return NULL;
    uint8_t *room = s->queue.p + s->queue.n;
    s->queue.n += n;
    queued_more(s, n);
    return room;
}

int http2_send(struct http2_stream *s, struct slice data)
{
    if (s->ended || s->reset)
        return -EPIPE;
    uint8_t *room = http2_send_reserve(s, data.n);
    if (!room)
        return -ENOBUFS;
    if (data.n)
        memcpy(room, data.p, data.n);
    return 0;
}

void http2_send_end(struct http2_stream *s)
{
    if (s->ended || s->reset)
        return;
    s->ended = true;
    queued_more(s, 0);
}

static void send_trailers(struct http2_stream *s, const struct http_header *headers, size_t n,
                          uint8_t flags)
{
    size_t bytes = 0;

    assert(n > 0 && n <= HTTP2_TRAILERS_MAX);
    if (s->ended || s->reset)
        return;
    if (flags == NGHTTP2_NV_FLAG_NONE)
        for (size_t i = 0; i < n; i++)
            bytes += headers[i].name.n + headers[i].value.n;
    s->trailers = xmalloc(n * sizeof *s->trailers + bytes);
    s->ntrailers = to_nv(s->trailers, headers, n, flags);
    uint8_t *p = (uint8_t *)(s->trailers + n);
    for (size_t i = 0; bytes && i < n; i++) {
        s->trailers[i].name = memcpy(p, headers[i].name.p, headers[i].name.n);
        p += headers[i].name.n;
        if (headers[i].value.n)
            s->trailers[i].value = memcpy(p, headers[i].value.p, headers[i].value.n);
        p += headers[i].value.n;
    }
    http2_send_end(s);
}

void http2_send_trailers(struct http2_stream *s, const struct http_header *headers, size_t n)
{
    send_trailers(s, headers, n, NGHTTP2_NV_FLAG_NONE);
}

void http2_send_trailers_static(struct http2_stream *s, const struct http_header *headers, size_t n)
{
    send_trailers(s, headers, n, STATIC_NV);
}

void http2_reset(struct http2_stream *s, enum http2_error error)
{
    if (s->reset)
        return;
    s->reset = true;
    s->h->queued -= http2_stream_queued(s);
    s->head = 0;
    buf_shrink(&s->queue, 0);
    nghttp2_submit_rst_stream(s->h->ng, NGHTTP2_FLAG_NONE, s->id, (uint32_t)error);
    http2_touch(s->h);
}

size_t http2_stream_queued(const struct http2_stream *s)
{
    return s->queue.n - s->head;
}

int32_t http2_stream_id(const struct http2_stream *s)
{
    return s->id;
}

bool http2_stream_ended(const struct http2_stream *s)
{
    return s->remote_ended;
}

struct http2 *http2_stream_conn(const struct http2_stream *s)
{
    return s->h;
}

void http2_stream_set_user(struct http2_stream *s, void *user)
{
    s->user = user;
}

void *http2_stream_user(const struct http2_stream *s)
{
    return s->user;
}
