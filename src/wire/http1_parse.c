/*
 *         line            empty line, no body
 *  START ------> FIELDS ----------------------------------------------> COMPLETE
 *   |  ^           | |  Content-Length: n                                 ^  ^
 *   +--+           | +-------------------------> LENGTH ---- n bytes -----+  |
 *   one empty line | chunked                                                 |
 *                  +---> CHUNK_SIZE ---- size 0 ----> TRAILERS - empty line -+
 *                          |    ^
 *                    size  |    | CRLF
 *                          v    |
 *                  CHUNK_DATA -> CHUNK_END           any state --> REFUSED
 *
 * A step takes what its state waits for from the input; the parser runs steps until one needs more
 * or brings an outcome.
 */
#include "wire/http1_parse.h"

#define FIRST_BODY_BYTES (64u * 1024) /* reserved at once; a larger length must first be proved */

#define LINE_KEPT_BYTES 512 /* of the line buffer, between requests: most connections are idle */

/* What a step returns besides an http1_outcome or ERR_MALFORMED: take the next step. */
#define STEP_ON 100

void http1_message_init(struct http1_message *m, size_t body_max)
{
    m->req = (struct http_request){0};
    /* Twice the limits: each line is stored with a NUL. */
    arena_init(&m->head, 2 * (LIMIT_REQUEST_LINE + LIMIT_HEADER_BYTES));
    buf_init(&m->body, MAX(body_max, (size_t)1));
}

void http1_message_deinit(struct http1_message *m)
{
    arena_deinit(&m->head);
    buf_deinit(&m->body);
}

void http1_parser_init(struct http1_parser *p, size_t body_max)
{
    *p = (struct http1_parser){.body_max = body_max, .state = HTTP1_COMPLETE};
    buf_init(&p->line, MAX(LIMIT_REQUEST_LINE, LIMIT_HEADER_BYTES));
}

void http1_parser_deinit(struct http1_parser *p)
{
    buf_deinit(&p->line);
}

void http1_parser_next(struct http1_parser *p, struct http1_message *m)
{
    assert(p->state == HTTP1_COMPLETE && p->line.n == 0);
    buf_shrink(&p->line, LINE_KEPT_BYTES);
    struct buf line = p->line;
    *p = (struct http1_parser){.body_max = p->body_max, .state = HTTP1_START, .msg = m};
    p->line = line;
}

bool http1_parser_begun(const struct http1_parser *p)
{
    return p->state != HTTP1_COMPLETE && (p->state != HTTP1_START || p->line.n > 0);
}

static int refuse(struct http1_parser *p, int status, const char *why)
{
    return http1_refuse(&p->refusal, status, why);
}

/* The next line, without its CRLF, from the input or from what was kept of it: valid until the next
 * call. max counts the CRLF too. HTTP1_MORE, STEP_ON, or refused with status and why. */
static int take_line(struct http1_parser *p, struct slice *in, size_t max, struct slice *ret,
                     struct http1_refusal too_long)
{
    assert(p->line.n <= max);
    size_t window = MIN(in->n, max - p->line.n);
    const uint8_t *lf = window ? memchr(in->p, '\n', window) : NULL;
    size_t n = lf ? (size_t)(lf - in->p) + 1 : window;

    *ret = slice_of(in->p, n);
    if (p->line.n || !lf) {
        if (buf_append(&p->line, in->p, n) < 0)
            return refuse(p, 503, "out of memory");
        *ret = buf_slice(&p->line);
    }
    *in = n ? slice_skip(*in, n) : *in;
    if (!lf)
        return ret->n < max ? HTTP1_MORE : refuse(p, too_long.status, too_long.why);
    if (ret->n < 2 || ret->p[ret->n - 2] != '\r')
        return refuse(p, 400, "line ends in LF without CR");
    ret->n -= 2;
    buf_clear(&p->line); /* the bytes stay until the next append */
    return STEP_ON;
}

/* A copy that lives as long as the message. */
static int keep_line(struct http1_parser *p, struct slice *line)
{
    line->p = arena_dup(&p->msg->head, line->p, line->n);
    return line->p ? 0 : refuse(p, 503, "out of memory");
}

static int step_start(struct http1_parser *p, struct slice *in)
{
    struct http1_refusal too_long = {414, "request line too long"};
    struct slice line;

    if (p->line.n == 0 && in->n && !http1_may_begin(in->p[0]))
        return refuse(p, 400, "not an HTTP request");
    int r = take_line(p, in, LIMIT_REQUEST_LINE, &line, too_long);
    if (r != STEP_ON)
        return r;
    if (line.n == 0) {
        if (p->blank_skipped)
            return refuse(p, 400, "empty lines before a request");
        p->blank_skipped = true;
        return STEP_ON;
    }
    r = keep_line(p, &line);
    if (r == 0)
        r = http1_request_line(line, &p->msg->req, &p->refusal);
    p->state = HTTP1_FIELDS;
    return r < 0 ? r : STEP_ON;
}

/* Fields that the framing depends on. */

static int on_content_length(struct http1_parser *p, struct slice value)
{
    if (p->has_length)
        return refuse(p, 400, "more than one Content-Length");
    p->has_length = true;
    return http1_content_length(value, &p->left, &p->refusal);
}

static int on_transfer_encoding(struct http1_parser *p, struct slice value)
{
    /* Before 1.1 there was none: whoever sends it cannot be trusted with its end (6.1). */
    if (p->msg->req.version < 11)
        return refuse(p, 400, "Transfer-Encoding in HTTP/1.0");
    if (p->chunked)
        return refuse(p, 400, "more than one Transfer-Encoding");
    p->chunked = true;
    return http1_transfer_coding(value, &p->refusal);
}

static int on_host(struct http1_parser *p, struct slice value)
{
    if (p->has_host)
        return refuse(p, 400, "more than one Host");
    p->has_host = true;
    if (p->msg->req.authority.n == 0)
        p->msg->req.authority = value;
    return http1_host(value, &p->refusal);
}

static int on_connection(struct http1_parser *p, struct slice value)
{
    p->close |= http_list_has(value, "close");
    p->keep_alive |= http_list_has(value, "keep-alive");
    return 0;
}

static int on_expect(struct http1_parser *p, struct slice value)
{
    if (p->msg->req.version < 11)
        return 0; /* to be ignored (RFC 9110, 10.1.1) */
    p->expects_continue = true;
    if (!http_token_is(value, "100-continue"))
        return refuse(p, 417, "the only expectation understood is 100-continue");
    return 0;
}

static const struct {
    const char *name;
    int (*on)(struct http1_parser *p, struct slice value);
} framing_fields[] = {
    {"content-length", on_content_length},
    {"transfer-encoding", on_transfer_encoding},
    {"host", on_host},
    {"connection", on_connection},
    {"expect", on_expect},
};

/* Index into framing_fields, or -1. */
static int find_framing(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(framing_fields); i++) {
        if (http_token_is(name, framing_fields[i].name))
            return (int)i;
    }
    return -1;
}

/* The line of a header or trailer field, or the empty one that ends them. */
static int take_field(struct http1_parser *p, struct slice *in, struct slice *ret)
{
    struct http1_refusal too_long = {431, "header fields too long"};
    int r = take_line(p, in, LIMIT_HEADER_BYTES - p->field_bytes, ret, too_long);

    if (r != STEP_ON || ret->n == 0)
        return r;
    p->field_bytes += ret->n + 2;
    if (p->nfields++ == LIMIT_HEADER_COUNT)
        return refuse(p, 431, "too many header fields");
    return r;
}

/* The empty line came: how long is the body (RFC 9112, 6.3)? */
static int end_head(struct http1_parser *p)
{
    struct http_request *req = &p->msg->req;

    if (req->version >= 11 && !p->has_host)
        return refuse(p, 400, "missing Host");
    if (p->chunked && p->has_length)
        return refuse(p, 400, "both Content-Length and Transfer-Encoding");
    if (p->has_length && p->left > p->body_max)
        return refuse(p, 413, "body too large");
    req->keep_alive = !p->close && (req->version >= 11 || p->keep_alive);
    if (p->chunked) {
        p->state = HTTP1_CHUNK_SIZE;
        return HTTP1_HEAD;
    }
    if (p->left == 0) {
        p->state = HTTP1_COMPLETE;
        return HTTP1_REQUEST;
    }
    p->state = HTTP1_LENGTH;
    if (buf_reserve(&p->msg->body, (size_t)MIN(p->left, (uint64_t)FIRST_BODY_BYTES)) < 0)
        return refuse(p, 503, "out of memory");
    return HTTP1_HEAD;
}

static int step_fields(struct http1_parser *p, struct slice *in)
{
    struct http_request *req = &p->msg->req;
    struct slice line;
    int r = take_field(p, in, &line);

    if (r != STEP_ON)
        return r;
    if (line.n == 0)
        return end_head(p);
    struct http_header *h = &req->headers[req->nheaders++];
    r = keep_line(p, &line);
    if (r == 0)
        r = http1_field_line(line, h, &p->refusal);
    if (r < 0)
        return r;
    int f = find_framing(h->name);
    if (f >= 0)
        r = framing_fields[f].on(p, h->value);
    return r < 0 ? r : STEP_ON;
}

/* Moves body bytes; once none is left, next is the state. */
static int take_body(struct http1_parser *p, struct slice *in, enum http1_state next)
{
    struct buf *body = &p->msg->body;
    size_t n = (size_t)MIN(p->left, (uint64_t)in->n);

    assert(body->n + n <= p->body_max);
    if (buf_append(body, in->p, n) < 0)
        return refuse(p, 503, "out of memory");
    *in = n ? slice_skip(*in, n) : *in;
    p->left -= n;
    if (p->left)
        return HTTP1_MORE;
    p->msg->req.body = buf_slice(body);
    p->state = next;
    return next == HTTP1_COMPLETE ? HTTP1_REQUEST : STEP_ON;
}

static int step_length(struct http1_parser *p, struct slice *in)
{
    return take_body(p, in, HTTP1_COMPLETE);
}

static int step_chunk_data(struct http1_parser *p, struct slice *in)
{
    return take_body(p, in, HTTP1_CHUNK_END);
}

static int step_chunk_size(struct http1_parser *p, struct slice *in)
{
    struct http1_refusal too_long = {400, "chunk size line too long"};
    struct slice line;
    int r = take_line(p, in, HTTP1_CHUNK_LINE, &line, too_long);

    if (r != STEP_ON)
        return r;
    r = http1_chunk_line(line, &p->left, &p->refusal);
    if (r < 0)
        return r;
    const uint8_t *ext = line.n ? memchr(line.p, ';', line.n) : NULL;
    p->ext_bytes += ext ? line.n - (size_t)(ext - line.p) : 0;
    if (p->ext_bytes > HTTP1_CHUNK_EXTS)
        return refuse(p, 400, "too many chunk extensions");
    if (p->left > p->body_max - p->msg->body.n)
        return refuse(p, 413, "body too large");
    p->state = p->left ? HTTP1_CHUNK_DATA : HTTP1_TRAILERS;
    return STEP_ON;
}

static int step_chunk_end(struct http1_parser *p, struct slice *in)
{
    struct http1_refusal too_long = {400, "chunk longer than its size"};
    struct slice line;
    int r = take_line(p, in, 2, &line, too_long);

    if (r == STEP_ON)
        p->state = HTTP1_CHUNK_SIZE;
    return r;
}

static int step_trailers(struct http1_parser *p, struct slice *in)
{
    struct http_header dropped;
    struct slice line;
    int r = take_field(p, in, &line);

    if (r != STEP_ON)
        return r;
    if (line.n == 0) {
        p->state = HTTP1_COMPLETE;
        return HTTP1_REQUEST;
    }
    r = http1_field_line(line, &dropped, &p->refusal);
    if (r < 0)
        return r;
    /* Not to be sent (RFC 9110, 6.5.1), and others on the way might heed them. */
    if (find_framing(dropped.name) >= 0)
        return refuse(p, 400, "field not allowed in a trailer");
    return STEP_ON;
}

static int (*const steps[HTTP1_STATES])(struct http1_parser *p, struct slice *in) = {
    [HTTP1_START] = step_start,           [HTTP1_FIELDS] = step_fields,
    [HTTP1_LENGTH] = step_length,         [HTTP1_CHUNK_SIZE] = step_chunk_size,
    [HTTP1_CHUNK_DATA] = step_chunk_data, [HTTP1_CHUNK_END] = step_chunk_end,
    [HTTP1_TRAILERS] = step_trailers,
};

int http1_parse(struct http1_parser *p, struct slice *in)
{
    int r;

    if (p->state == HTTP1_REFUSED)
        return ERR_MALFORMED;
    do {
        assert(steps[p->state]);
        r = steps[p->state](p, in);
    } while (r == STEP_ON);
    if (r < 0)
        p->state = HTTP1_REFUSED;
    return r;
}
