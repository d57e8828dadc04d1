#include "wire/http1.h"

#include "base/list.h"
#include "wire/http1_parse.h"

#define HEAD_LINE_BYTES   128         /* status line, Content-Length and Connection of an answer */
#define OUTPUT_KEPT_BYTES (4u * 1024) /* of the output buffer, while nothing waits to be sent */

/* A request, from its first byte until its answer stands in the output. */
struct exchange {
    struct http_exchange base;
    struct http1 *conn;
    struct list link; /* in queue, once handed to the handler */
    struct http1_message msg;
    bool answered;
    struct buf answer; /* while earlier ones are not answered */
};

struct http1 {
    http_handler *handler;
    void *ctx;
    size_t body_max;
    struct http1_parser parser;
    struct exchange *receiving; /* what the parser fills; NULL: nothing arrived yet */
    struct list queue;          /* exchanges in the order of their requests */
    size_t nqueue;
    size_t answer_bytes; /* in the answers that wait in the queue */
    struct buf out;
    struct buf held; /* input kept while the pipeline is full */
    bool feeding;    /* inside http1_feed: its caller looks at the output anyway */
    bool want_100;   /* the peer waits for "100 Continue" before it sends receiving's body */
    bool ended;      /* nothing is parsed any more */
    bool lost;       /* an answer did not fit: those after it cannot be sent in order */
    void (*hook)(void *ctx);
    void *hook_ctx;
};

struct http1 *http1_new(http_handler *handler, void *ctx, size_t body_max)
{
    struct http1 *h = xcalloc(1, sizeof *h);

    h->handler = handler;
    h->ctx = ctx;
    h->body_max = body_max;
    http1_parser_init(&h->parser, body_max);
    list_init(&h->queue);
    buf_init(&h->out, (size_t)LIMIT_RESPONSE_BYTES + LIMIT_CONN_QUEUE);
    buf_init(&h->held, body_max + LIMIT_HEADER_BYTES + LIMIT_REQUEST_LINE);
    return h;
}

/* --- answers --- */

static void reply(struct http_exchange *base, int status, const struct http_header *headers,
                  size_t n, struct slice body);
static const struct http_exchange_ops exchange_ops = {.reply = reply};

static struct exchange *exchange_new(struct http1 *h)
{
    struct exchange *x = xmalloc(sizeof *x);

    x->base = (struct http_exchange){.ops = &exchange_ops, .req = &x->msg.req};
    x->conn = h;
    list_init(&x->link);
    http1_message_init(&x->msg, h->body_max);
    x->answered = false;
    buf_init(&x->answer, h->out.max);
    return x;
}

static void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    list_del(&x->link);
    http1_message_deinit(&x->msg);
    buf_deinit(&x->answer);
    free(x);
}

static void enqueue(struct http1 *h, struct exchange *x)
{
    list_add_tail(&h->queue, &x->link);
    h->nqueue++;
}

/* A control byte in a value could begin a header of somebody else's choice. */
static void append_value(struct buf *b, struct slice value)
{
    size_t at = b->n;

    buf_append_slice(b, value);
    for (; at < b->n; at++) {
        if (b->p[at] < ' ' && b->p[at] != '\t')
            b->p[at] = ' ';
    }
}

static bool status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static const char *connection_header(const struct exchange *x)
{
    if (!x->msg.req.keep_alive)
        return "Connection: close\r\n";
    return x->msg.req.version < 11 ? "Connection: keep-alive\r\n" : "";
}

/* The answer as it goes on the wire; -ENOBUFS, with out unchanged. */
static int render(const struct exchange *x, struct buf *out, int status,
                  const struct http_header *headers, size_t n, struct slice body)
{
    bool has_body = status_has_body(status);
    bool head_only = slice_eq_str(x->msg.req.method, "HEAD");
    size_t need = HEAD_LINE_BYTES + (has_body && !head_only ? body.n : 0);

    for (size_t i = 0; i < n; i++)
        need += headers[i].name.n + headers[i].value.n + 4;
    if (buf_reserve(out, need) < 0)
        return -ENOBUFS;
    /* With the room reserved the appends below cannot fail. */
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    for (size_t i = 0; i < n; i++) {
        append_value(out, headers[i].name);
        buf_append_str(out, ": ");
        append_value(out, headers[i].value);
        buf_append_str(out, "\r\n");
    }
    if (has_body)
        buf_printf(out, "Content-Length: %zu\r\n", body.n);
    buf_append_str(out, connection_header(x));
    buf_append_str(out, "\r\n");
    if (has_body && !head_only)
        buf_append_slice(out, body);
    return 0;
}

/* An answer had no room. Those that follow it can no longer be sent in order. */
static void lose(struct http1 *h)
{
    h->lost = h->ended = true;
}

static void finish(struct http1 *h, struct exchange *x)
{
    h->nqueue--;
    h->answer_bytes -= x->answer.n;
    exchange_free(x);
}

static void send_continue(struct http1 *h)
{
    if (!h->want_100 || h->nqueue || h->ended)
        return;
    h->want_100 = false;
    if (buf_append_str(&h->out, "HTTP/1.1 100 Continue\r\n\r\n") < 0)
        lose(h);
}

/* Moves answers that are next in order into the output. */
static void flush(struct http1 *h)
{
    while (!list_empty(&h->queue)) {
        struct exchange *x = list_first(&h->queue, struct exchange, link);
        if (!x->answered)
            return;
        if (!h->lost && buf_append_slice(&h->out, buf_slice(&x->answer)) < 0)
            lose(h);
        finish(h, x);
    }
    send_continue(h);
}

static void reply(struct http_exchange *base, int status, const struct http_header *headers,
                  size_t n, struct slice body)
{
    struct exchange *x = container_of(base, struct exchange, base);
    struct http1 *h = x->conn;

    assert(!x->answered && status >= 200 && status <= 999);
    x->answered = true;
    if (body.n > LIMIT_RESPONSE_BYTES) {
        status = 500;
        n = 0;
        body = SLICE_LIT("answer too large\n");
    }
    bool next = h->queue.next == &x->link;
    struct buf *to = next ? &h->out : &x->answer;
    if (!h->lost && render(x, to, status, headers, n, body) < 0)
        lose(h);
    h->answer_bytes += x->answer.n;
    /* Until it is its turn, only the answer is worth keeping. */
    http1_message_deinit(&x->msg);
    flush(h);
    if (!h->feeding && h->hook)
        h->hook(h->hook_ctx);
}

/* --- requests --- */

/* Answers a request that was not understood; it is the connection's last. */
static void answer_refusal(struct http1 *h, const struct http1_refusal *no)
{
    struct exchange *x = h->receiving ? take_ptr(&h->receiving) : exchange_new(h);
    char text[HEAD_LINE_BYTES];
    int n = snprintf(text, sizeof text, "%s\n", no->why);

    assert(n > 0 && (size_t)n < sizeof text);
    h->ended = true;
    x->msg.req.keep_alive = false;
    enqueue(h, x);
    http_reply(&x->base, no->status, "text/plain; charset=utf-8", slice_of(text, (size_t)n));
}

static void request_complete(struct http1 *h)
{
    struct exchange *x = take_ptr(&h->receiving);

    h->want_100 = false; /* the body came without it */
    if (!x->msg.req.keep_alive)
        h->ended = true;
    enqueue(h, x);
    h->handler(h->ctx, &x->base); /* may have answered and freed x */
}

static bool has_room(const struct http1 *h)
{
    return h->nqueue < LIMIT_HTTP1_PIPELINE && h->out.n + h->answer_bytes < LIMIT_STREAM_QUEUE;
}

/* Takes requests from the front of *in while there is room for their answers. */
static void parse(struct http1 *h, struct slice *in)
{
    while (in->n && !h->ended && has_room(h)) {
        if (!h->receiving) {
            h->receiving = exchange_new(h);
            http1_parser_next(&h->parser, &h->receiving->msg);
        }
        int r = http1_parse(&h->parser, in);
        if (r < 0)
            answer_refusal(h, &h->parser.refusal);
        else if (r == HTTP1_REQUEST)
            request_complete(h);
        else if (r == HTTP1_HEAD && h->parser.expects_continue) {
            h->want_100 = true;
            send_continue(h);
        }
    }
}

static void hold(struct http1 *h, struct slice in)
{
    struct http1_refusal no = {503, "too many requests ahead of their answers"};

    /* A reader that heeds http1_wants_read never gets here with more than one read's worth. */
    if (in.n && buf_append_slice(&h->held, in) < 0)
        answer_refusal(h, &no);
}

/* Memory an idle connection need not hold. */
static void trim(struct http1 *h)
{
    if (h->ended || h->held.n == 0)
        buf_shrink(&h->held, 0);
    if (h->out.n == 0)
        buf_shrink(&h->out, OUTPUT_KEPT_BYTES);
}

int http1_feed(struct http1 *h, struct slice in)
{
    bool from_held = h->held.n > 0;

    assert(!h->feeding);
    if (h->ended)
        return 1;
    h->feeding = true;
    if (from_held) {
        hold(h, in);
        in = buf_slice(&h->held);
    }
    size_t before = in.n;
    parse(h, &in);
    if (from_held)
        buf_consume(&h->held, before - in.n);
    else if (!h->ended)
        hold(h, in);
    trim(h);
    h->feeding = false;
    return h->ended;
}

/* --- queries and the end --- */

bool http1_wants_read(const struct http1 *h)
{
    return !h->ended && h->held.n == 0 && has_room(h);
}

struct buf *http1_output(struct http1 *h)
{
    return &h->out;
}

bool http1_done(const struct http1 *h)
{
    return h->ended && list_empty(&h->queue);
}

void http1_set_output_hook(struct http1 *h, void (*hook)(void *ctx), void *ctx)
{
    h->hook = hook;
    h->hook_ctx = ctx;
}

enum http1_phase http1_phase(const struct http1 *h)
{
    if (!list_empty(&h->queue))
        return HTTP1_ANSWERING;
    return h->receiving && http1_parser_begun(&h->parser) ? HTTP1_RECEIVING : HTTP1_IDLE;
}

void http1_free(struct http1 *h)
{
    if (!h)
        return;
    list_for_each (it, &h->queue) {
        struct exchange *x = container_of(it, struct exchange, link);
        if (!x->answered && x->base.on_abort)
            x->base.on_abort(&x->base);
        exchange_free(x);
    }
    exchange_free(h->receiving);
    http1_parser_deinit(&h->parser);
    buf_deinit(&h->out);
    buf_deinit(&h->held);
    free(h);
}
