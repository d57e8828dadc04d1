#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/http1.h"
#include "wire/http1_parse.h"

#define BODY_MAX 64
#define PENDING  32

/* A connection whose handler writes down what it was asked, and answers at once or when told. */
struct peer {
    struct http1 *h;
    struct buf seen;
    bool late;
    struct http_exchange *pending[PENDING];
    size_t npending;
    int aborted, hooked;
    int result; /* of the last feed */
};

static void on_abort(struct http_exchange *x)
{
    struct peer *p = x->user;

    p->aborted++;
}

/* Answers with the path, so that order shows. */
static void answer(struct http_exchange *x)
{
    http_reply(x, 200, NULL, x->req->path);
}

static void handle(void *ctx, struct http_exchange *x)
{
    struct peer *p = ctx;
    const struct http_request *r = x->req;

    assert_int_equal(buf_printf(&p->seen, "%.*s %.*s ?%.*s @%.*s %d h%zu%s [%.*s]\n",
                                (int)r->method.n, r->method.p, (int)r->path.n, r->path.p,
                                (int)r->query.n, r->query.n ? (const char *)r->query.p : "",
                                (int)r->authority.n,
                                r->authority.n ? (const char *)r->authority.p : "", r->version,
                                r->nheaders, r->keep_alive ? "" : " close", (int)r->body.n,
                                r->body.n ? (const char *)r->body.p : ""),
                     0);
    if (!p->late) {
        answer(x);
        return;
    }
    x->user = p;
    x->on_abort = on_abort;
    assert_true(p->npending < PENDING);
    p->pending[p->npending++] = x;
}

static void on_output(void *ctx)
{
    struct peer *p = ctx;

    p->hooked++;
}

static void peer_init(struct peer *p)
{
    *p = (struct peer){.h = http1_new(handle, p, BODY_MAX)};
    buf_init(&p->seen, 1 << 20);
    http1_set_output_hook(p->h, on_output, p);
}

static void peer_deinit(struct peer *p)
{
    http1_free(p->h);
    buf_deinit(&p->seen);
}

/* From memory of exactly that size, so that the sanitizers see a read past it. */
static int feed(struct peer *p, struct slice in)
{
    uint8_t *copy = xmalloc(in.n);

    memcpy(copy, in.n ? in.p : copy, in.n);
    p->result = http1_feed(p->h, slice_of(copy, in.n));
    free(copy);
    return p->result;
}

static const char *output(struct peer *p)
{
    return buf_cstr(http1_output(p->h));
}

static int feed_str(struct peer *p, const char *s)
{
    return feed(p, slice_str(s));
}

/* What a peer saw and sent. */
struct outcome {
    char *seen, *sent;
    int result;
};

static struct outcome run(struct slice a, struct slice b, bool bytewise)
{
    struct peer p;

    peer_init(&p);
    if (bytewise) {
        for (size_t i = 0; i < a.n; i++)
            feed(&p, slice_of(a.p + i, 1));
    } else {
        feed(&p, a);
    }
    if (b.n)
        feed(&p, b);
    struct outcome o = {xstrdup(buf_cstr(&p.seen)), xstrdup(output(&p)), p.result};
    assert_int_equal(http1_done(p.h), o.result);
    peer_deinit(&p);
    return o;
}

static void outcome_free(struct outcome o)
{
    free(o.seen);
    free(o.sent);
}

static void assert_same(struct outcome a, struct outcome b)
{
    assert_string_equal(a.seen, b.seen);
    assert_string_equal(a.sent, b.sent);
    assert_int_equal(a.result, b.result);
    outcome_free(b);
}

/* Fed whole, byte by byte and cut in two at every place, the outcome is the same. */
static struct outcome run_all_ways(struct slice in)
{
    struct outcome whole = run(in, SLICE_EMPTY, false);

    assert_same(whole, run(in, SLICE_EMPTY, true));
    for (size_t i = 1; i < in.n; i++)
        assert_same(whole, run(slice_of(in.p, i), slice_skip(in, i), false));
    return whole;
}

#define B(s)                                                                                       \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }
#define HOST    "Host: a\r\n"
#define POST    "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    const char *in, *seen;
} good[] = {
    {"GET / HTTP/1.1\r\nHost: a:1\r\n\r\n", "GET / ? @a:1 11 h1 []\n"},
    {"\r\nGET / HTTP/1.1\r\nhOST:\ta \t\r\n\r\n", "GET / ? @a 11 h1 []\n"},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / ? @ 11 h1 []\n"},
    {"LIST /v1/x?list=true HTTP/1.1\r\n" HOST "\r\n", "LIST /v1/x ?list=true @a 11 h1 []\n"},
    {"M-!#$%&'*+.^_`|~9 / HTTP/1.1\r\n" HOST "\r\n", "M-!#$%&'*+.^_`|~9 / ? @a 11 h1 []\n"},
    {"GET /a?b?c HTTP/1.1\r\n" HOST "\r\n", "GET /a ?b?c @a 11 h1 []\n"},
    {"GET //x HTTP/1.1\r\n" HOST "\r\n", "GET //x ? @a 11 h1 []\n"},
    {"GET /\"<>\\^`{|} HTTP/1.1\r\n" HOST "\r\n", "GET /\"<>\\^`{|} ? @a 11 h1 []\n"},
    {"GET / HTTP/1.1\r\nHost: [::1]:2379\r\n\r\n", "GET / ? @[::1]:2379 11 h1 []\n"},
    /* absolute and asterisk form */
    {"GET http://b:80/p?q HTTP/1.1\r\n" HOST "\r\n", "GET /p ?q @b:80 11 h1 []\n"},
    {"GET HTTPS://b HTTP/1.1\r\n" HOST "\r\n", "GET / ? @b 11 h1 []\n"},
    {"GET http://b?q HTTP/1.1\r\n" HOST "\r\n", "GET / ?q @b 11 h1 []\n"},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS * ? @a 11 h1 []\n"},
    /* 1.0 */
    {"GET / HTTP/1.0\r\n\r\n", "GET / ? @ 10 h0 close []\n"},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / ? @ 10 h1 []\n"},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET / ? @ 10 h1 close []\n"},
    {"GET / HTTP/1.0\r\nExpect: x\r\n\r\n", "GET / ? @ 10 h1 close []\n"},
    {"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", "POST / ? @ 10 h1 close [ab]\n"},
    /* connection */
    {"GET / HTTP/1.1\r\n" HOST "Connection: x\r\nConnection: y , CLOSE\r\n\r\n",
     "GET / ? @a 11 h3 close []\n"},
    {"GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
     "GET / ? @a 11 h3 []\n"},
    /* bodies */
    {POST "Content-Length: 3\r\n\r\nabc", "POST / ? @a 11 h2 [abc]\n"},
    {POST "content-length: 003 \r\n\r\nabc", "POST / ? @a 11 h2 [abc]\n"},
    {POST "Content-Length: 0\r\n\r\n", "POST / ? @a 11 h2 []\n"},
    {"GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", "GET / ? @a 11 h2 [x]\n"},
    {CHUNKED "0\r\n\r\n", "POST / ? @a 11 h2 []\n"},
    {CHUNKED "2\r\nab\r\n00A\r\n0123456789\r\n000\r\n\r\n", "POST / ? @a 11 h2 [ab0123456789]\n"},
    {CHUNKED "1;a\r\nx\r\n1;a=b;c=\"d\\\" ;\"\r\ny\r\n0;e\r\n\r\n", "POST / ? @a 11 h2 [xy]\n"},
    {CHUNKED "1\r\nx\r\n0\r\nDigest: z\r\nX: y\r\n\r\n", "POST / ? @a 11 h2 [x]\n"},
    {POST "Transfer-Encoding: \tChunked \r\n\r\n0\r\n\r\n", "POST / ? @a 11 h2 []\n"},
    /* what looks like a trick and is none */
    {"GET / HTTP/1.1\r\n" HOST "Transfer_Encoding: chunked\r\n\r\n", "GET / ? @a 11 h2 []\n"},
    {"GET / HTTP/1.1\r\n" HOST "X: a\tb \x80\xff\r\nY:\r\n\r\n", "GET / ? @a 11 h3 []\n"},
    /* pipelining */
    {POST "Content-Length: 1\r\n\r\naGET /b HTTP/1.1\r\n" HOST "\r\n" CHUNKED "1\r\nc\r\n0\r\n\r\n",
     "POST / ? @a 11 h2 [a]\nGET /b ? @a 11 h1 []\nPOST / ? @a 11 h2 [c]\n"},
    {"GET /a HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /never HTTP/1.1\r\n" HOST "\r\n",
     "GET /a ? @a 11 h2 close []\n"},
};

static void good_requests_are_understood_however_cut(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct outcome o = run_all_ways(slice_str(good[i].in));
        assert_string_equal(o.seen, good[i].seen);
        assert_int_equal(o.result, strstr(o.seen, "close") != NULL);
        assert_null(strstr(o.sent, "HTTP/1.1 4"));
        outcome_free(o);
    }
}

static const struct {
    struct slice in;
    int status;
    const char *why;
} bad[] = {
    /* request line */
    {B("GET /\r\n"), 400, "malformed request line"},
    {B("GET  / HTTP/1.1\r\n"), 400, "malformed request line"},
    {B("GET  HTTP/1.1\r\n"), 400, "empty request target"},
    {B("GET / HTTP/1.1 \r\n"), 400, "malformed request line"},
    {B("GET / x HTTP/1.1\r\n"), 400, "malformed request line"},
    {B("GET /\tHTTP/1.1\r\n"), 400, "malformed request line"},
    {B("GET\t/ HTTP/1.1\r\n"), 400, "malformed method"},
    {B(" GET / HTTP/1.1\r\n"), 400, "not an HTTP request"},
    {B("G(T / HTTP/1.1\r\n"), 400, "malformed method"},
    {B("GET\r\n"), 400, "malformed method"},
    {B("GET \r\n"), 400, "malformed request line"},
    {B("GET / http/1.1\r\n"), 400, "version"},
    {B("GET / HTTP/1,1\r\n"), 400, "version"},
    {B("GET / HTTP/1.11\r\n"), 400, "malformed request line"},
    {B("GET / HTTP/1.2\r\n"), 505, "only HTTP/1.0"},
    {B("GET / HTTP/0.9\r\n"), 505, "only HTTP/1.0"},
    {B("GET / HTTP/2.0\r\n"), 505, "only HTTP/1.0"},
    {B("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, "only HTTP/1.0"},
    {B("PRI * HTTP/1.1\r\n"), 501, "method"},
    {B("CONNECT a:1 HTTP/1.1\r\n"), 501, "method"},
    {B("CONNECT / HTTP/1.1\r\n"), 501, "method"},
    {B("\r\n\r\n"), 400, "empty lines"},
    {B("\n"), 400, "not an HTTP request"},
    {B("\x16\x03\x01\x02"), 400, "not an HTTP request"},
    {B("GET / HTTP/1.1\n"), 400, "LF without CR"},
    {B("GET / HTTP/1.1\r\r\n"), 400, "malformed request line"},
    {B("GET /\r HTTP/1.1\r\n"), 400, "must be %-encoded"},
    {B("GET /\0 HTTP/1.1\r\n"), 400, "must be %-encoded"},
    {B("GET /\x7f HTTP/1.1\r\n"), 400, "must be %-encoded"},
    {B("GET /\xc3\xbc HTTP/1.1\r\n"), 400, "must be %-encoded"},
    {B("GET /#a HTTP/1.1\r\n"), 400, "must be %-encoded"},
    {B("GET a HTTP/1.1\r\n"), 400, "must be a path"},
    {B("GET ?a HTTP/1.1\r\n"), 400, "must be a path"},
    {B("GET * HTTP/1.1\r\n"), 400, "OPTIONS only"},
    {B("OPTIONS ** HTTP/1.1\r\n"), 400, "must be a path"},
    {B("GET ftp://a/ HTTP/1.1\r\n"), 400, "must be a path"},
    {B("GET http:/a HTTP/1.1\r\n"), 400, "must be a path"},
    {B("GET http:///a HTTP/1.1\r\n"), 400, "malformed host"},
    {B("GET http://u@a/ HTTP/1.1\r\n"), 400, "malformed host"},
    {B("GET http://a\\b/ HTTP/1.1\r\n"), 400, "malformed host"},
    /* fields */
    {B("GET / HTTP/1.1\r\n\r\n"), 400, "missing Host"},
    {B("GET / HTTP/1.1\r\n" HOST HOST), 400, "more than one Host"},
    {B("GET / HTTP/1.0\r\n" HOST HOST), 400, "more than one Host"},
    {B("GET http://a/ HTTP/1.1\r\nHost: b\r\nhost: b\r\n"), 400, "more than one Host"},
    {B("GET / HTTP/1.1\r\nHost: a@b\r\n"), 400, "malformed Host"},
    {B("GET / HTTP/1.1\r\nHost: a/b\r\n"), 400, "malformed Host"},
    {B("GET / HTTP/1.1\r\nHost: a b\r\n"), 400, "malformed Host"},
    {B("GET / HTTP/1.1\r\n" HOST " X: y\r\n"), 400, "folded"},
    {B("GET / HTTP/1.1\r\n X: y\r\n"), 400, "folded"},
    {B("GET / HTTP/1.1\r\n" HOST "X: y\r\n\tz\r\n"), 400, "folded"},
    {B("GET / HTTP/1.1\r\n" HOST "X : y\r\n"), 400, "blank in a header name"},
    {B("GET / HTTP/1.1\r\n" HOST "X\t: y\r\n"), 400, "blank in a header name"},
    {B("GET / HTTP/1.1\r\n" HOST ": y\r\n"), 400, "malformed header line"},
    {B("GET / HTTP/1.1\r\n" HOST "X\r\n"), 400, "malformed header line"},
    {B("GET / HTTP/1.1\r\n" HOST "X\0: y\r\n"), 400, "malformed header line"},
    {B("GET / HTTP/1.1\r\n" HOST "X(a): y\r\n"), 400, "malformed header line"},
    {B("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n"), 400, "control byte"},
    {B("GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n"), 400, "control byte"},
    {B("GET / HTTP/1.1\r\n" HOST "X: a\r\r\n"), 400, "control byte"},
    {B("GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n"), 400, "control byte"},
    {B("GET / HTTP/1.1\r\n" HOST "X: a\n"), 400, "LF without CR"},
    {B("GET / HTTP/1.1\r\n" HOST "\n"), 400, "LF without CR"},
    {B("GET / HTTP/1.1\r\n" HOST "X:\nContent-Length: 5\r\n"), 400, "LF without CR"},
    {B("GET / HTTP/1.1\r\n" HOST "X:\rContent-Length: 5\r\n"), 400, "control byte"},
    {B("GET / HTTP/1.1\r\n" HOST "\r\r\n"), 400, "malformed header line"},
    {B("GET / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n"), 417, "100-continue"},
    /* lengths */
    {B(POST "Content-Length: 1\r\nContent-Length: 1\r\n"), 400, "more than one Content-Length"},
    {B(POST "Content-Length: 1\r\nContent-Length: 2\r\n"), 400, "more than one Content-Length"},
    {B(POST "Content-Length: 1, 1\r\n"), 400, "one decimal number"},
    {B(POST "Content-Length: +1\r\n"), 400, "one decimal number"},
    {B(POST "Content-Length: -1\r\n"), 400, "one decimal number"},
    {B(POST "Content-Length: 1 2\r\n"), 400, "one decimal number"},
    {B(POST "Content-Length: 0x1\r\n"), 400, "one decimal number"},
    {B(POST "Content-Length: 1e1\r\n"), 400, "one decimal number"},
    {B(POST "Content-Length: \"1\"\r\n"), 400, "one decimal number"},
    {B(POST "Content-Length:\r\n"), 400, "empty Content-Length"},
    {B(POST "Content-Length: \xb2\r\n"), 400, "one decimal number"},
    {B(POST "Content-Length: 65\r\n\r\n"), 413, "body too large"},
    {B(POST "Content-Length: 18446744073709551616\r\n\r\n"), 413, "body too large"},
    {B(POST "Content-Length: 18446744073709551621\r\n\r\n"), 413, "body too large"},
    {B(POST "Content-Length: 99999999999999999999999999\r\n\r\n"), 413, "body too large"},
    {B(POST "Content-Length : 1\r\n"), 400, "blank in a header name"},
    /* transfer codings */
    {B(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "both"},
    {B(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), 400, "both"},
    {B(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), 400, "both"},
    {B(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400, "more than one"},
    {B(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400, "more than one"},
    {B(POST "Transfer-Encoding: gzip, chunked\r\n"), 501, "only transfer coding"},
    {B(POST "Transfer-Encoding: chunked, chunked\r\n"), 501, "only transfer coding"},
    {B(POST "Transfer-Encoding: chunked, gzip\r\n"), 400, "last transfer coding"},
    {B(POST "Transfer-Encoding: xchunked\r\n"), 400, "last transfer coding"},
    {B(POST "Transfer-Encoding: chunkedx\r\n"), 400, "last transfer coding"},
    {B(POST "Transfer-Encoding: chunked;q=1\r\n"), 400, "last transfer coding"},
    {B(POST "Transfer-Encoding: chunked,\r\n"), 400, "last transfer coding"},
    {B(POST "Transfer-Encoding: \"chunked\"\r\n"), 400, "last transfer coding"},
    {B(POST "Transfer-Encoding: identity\r\n"), 400, "last transfer coding"},
    {B(POST "Transfer-Encoding:\r\n"), 400, "last transfer coding"},
    {B(POST "Transfer-Encoding:\x0b"
            "chunked\r\n"),
     400, "control byte"},
    {B(POST "Transfer-Encoding:\r\n chunked\r\n"), 400, "last transfer coding"},
    {B(POST "Transfer-Encoding : chunked\r\n"), 400, "blank in a header name"},
    {B("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"), 400, "HTTP/1.0"},
    /* chunks */
    {B(CHUNKED "\r\n"), 400, "malformed chunk size"},
    {B(CHUNKED "x\r\n"), 400, "malformed chunk size"},
    {B(CHUNKED "+1\r\n"), 400, "malformed chunk size"},
    {B(CHUNKED "-1\r\n"), 400, "malformed chunk size"},
    {B(CHUNKED " 1\r\n"), 400, "malformed chunk size"},
    {B(CHUNKED "0x1\r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "1 \r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "1\t;a\r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "1\n"), 400, "LF without CR"},
    {B(CHUNKED "1;\r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "1;a=\r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "1;a=\"\r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "1;a=\"b\\\"\r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "1;a\rb\r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "1;a\nb\r\n"), 400, "LF without CR"},
    {B(CHUNKED "1;a=\"\0\"\r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "1;a=\"\\\0\"\r\n"), 400, "malformed chunk extension"},
    {B(CHUNKED "00000000000000001\r\n"), 400, "malformed chunk size"},
    {B(CHUNKED "fffffffffffffffff\r\n"), 400, "malformed chunk size"},
    {B(CHUNKED "ffffffffffffffff\r\n"), 413, "body too large"},
    {B(CHUNKED "41\r\n"), 413, "body too large"},
    {B(CHUNKED "1\r\nx\r\n40\r\n"), 413, "body too large"},
    {B(CHUNKED "1\r\nxy\r\n"), 400, "chunk longer than its size"},
    {B(CHUNKED "1\r\nx\n"), 400, "LF without CR"},
    {B(CHUNKED "1\r\nx1\r\n"), 400, "chunk longer than its size"},
    {B(CHUNKED "0\r\nX\r\n"), 400, "malformed header line"},
    {B(CHUNKED "0\r\n X: y\r\n"), 400, "folded"},
    {B(CHUNKED "0\r\nX: y\n"), 400, "LF without CR"},
    {B(CHUNKED "0\r\nX: \0\r\n"), 400, "control byte"},
    {B(CHUNKED "0\r\nContent-Length: 1\r\n"), 400, "not allowed in a trailer"},
    {B(CHUNKED "0\r\ntransfer-encoding: chunked\r\n"), 400, "not allowed in a trailer"},
    {B(CHUNKED "0\r\nHost: b\r\n"), 400, "not allowed in a trailer"},
};

static void check_refusal(struct slice in, int status, const char *why)
{
    struct outcome o = run_all_ways(in);
    char line[32];

    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    if (!strstr(o.sent, line) || !strstr(o.sent, why))
        fail_msg("'%.*s': expected %s(%s), sent '%s'", (int)in.n, in.p, line, why, o.sent);
    assert_non_null(strstr(o.sent, "Connection: close\r\n"));
    assert_int_equal(o.result, 1);
    outcome_free(o);
}

static void bad_requests_are_refused_however_cut(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        check_refusal(bad[i].in, bad[i].status, bad[i].why);
        struct outcome o = run(bad[i].in, SLICE_EMPTY, false);
        assert_string_equal(o.seen, "");
        outcome_free(o);
    }
}

static void a_bad_request_behind_good_ones_is_refused_after_their_answers(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cleanup_buf struct buf in;
        buf_init(&in, 1024);
        buf_append_str(&in, POST "Content-Length: 2\r\n\r\nab");
        buf_append_slice(&in, bad[i].in);
        buf_append_str(&in, "GET /never HTTP/1.1\r\n" HOST "\r\n");
        struct outcome o = run(buf_slice(&in), SLICE_EMPTY, false);
        assert_string_equal(o.seen, "POST / ? @a 11 h2 [ab]\n");
        assert_int_equal(strncmp(o.sent, "HTTP/1.1 200 OK\r\n", 17), 0);
        assert_non_null(strstr(o.sent, bad[i].why));
        assert_null(strstr(o.seen, "never"));
        outcome_free(o);
    }
}

/* --- bounds --- */

static char *repeat(const char *before, const char *part, size_t n, const char *after)
{
    struct buf b;

    buf_init(&b, 1 << 20);
    buf_append_str(&b, before);
    for (size_t i = 0; i < n; i++)
        buf_append_str(&b, part);
    buf_append_str(&b, after);
    buf_cstr(&b);
    return (char *)b.p;
}

static void assert_status(const char *before, const char *part, size_t n, const char *after,
                          int status)
{
    cleanup_free char *in = repeat(before, part, n, after);
    struct outcome whole = run(slice_str(in), SLICE_EMPTY, false);
    char line[32];

    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    assert_int_equal(strncmp(whole.sent, line, strlen(line)), 0);
    assert_same(whole, run(slice_str(in), SLICE_EMPTY, true));
    outcome_free(whole);
}

static void limits_are_met_exactly(void **state)
{
    const size_t line = LIMIT_REQUEST_LINE - strlen("GET / HTTP/1.1\r\n");
    const size_t fields = LIMIT_HEADER_BYTES - strlen(HOST "X:\r\n\r\n");
    const char *get = "GET / HTTP/1.1\r\n" HOST;

    assert_status("GET /", "a", line, " HTTP/1.1\r\n" HOST "\r\n", 200);
    assert_status("GET /", "a", line + 1, " HTTP/1.1\r\n" HOST "\r\n", 414);
    assert_status("", "A", LIMIT_REQUEST_LINE, "", 414);
    assert_status("GET / HTTP/1.1\r\n" HOST "X:", "y", fields, "\r\n\r\n", 200);
    assert_status("GET / HTTP/1.1\r\n" HOST "X:", "y", fields + 1, "\r\n\r\n", 431);
    assert_status(get, "A:\r\n", LIMIT_HEADER_COUNT - 1, "\r\n", 200);
    assert_status(get, "A:\r\n", LIMIT_HEADER_COUNT, "\r\n", 431);
    /* trailers count too */
    assert_status(CHUNKED "0\r\n", "A:\r\n", LIMIT_HEADER_COUNT - 2, "\r\n", 200);
    assert_status(CHUNKED "0\r\n", "A:\r\n", LIMIT_HEADER_COUNT - 1, "\r\n", 431);
    assert_status(CHUNKED "0\r\nA:", "b", LIMIT_HEADER_BYTES, "\r\n", 431);
    /* bodies */
    assert_status(POST "Content-Length: 64\r\n\r\n", "b", BODY_MAX, "", 200);
    assert_status(CHUNKED "40\r\n", "b", BODY_MAX, "\r\n0\r\n\r\n", 200);
    assert_status(CHUNKED, "1\r\nb\r\n", BODY_MAX, "0\r\n\r\n", 200);
    assert_status(CHUNKED, "1\r\nb\r\n", BODY_MAX + 1, "0\r\n\r\n", 413);
    /* chunk extensions */
    assert_status(CHUNKED "0;", "a", HTTP1_CHUNK_LINE - 4, "\r\n\r\n", 200);
    assert_status(CHUNKED "0;", "a", HTTP1_CHUNK_LINE - 3, "\r\n\r\n", 400);
    assert_status(CHUNKED, "1;aaaaaaaaaaaaaaaaaaa\r\nb\r\n", 51, "0\r\n\r\n", 200);
    assert_status(CHUNKED, "1;aaaaaaaaaaaaaaaaaaa\r\nb\r\n", 52, "0\r\n\r\n", 400);
}

/* --- answers --- */

#define GET(path)         "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define ANSWER(len, body) "HTTP/1.1 200 OK\r\nContent-Length: " len "\r\n\r\n" body

static void late_answers_are_sent_in_the_order_of_requests(void **state)
{
    struct peer p;

    peer_init(&p);
    p.late = true;
    assert_int_equal(feed_str(&p, GET("/1") GET("/2") GET("/3")), 0);
    assert_int_equal(http1_phase(p.h), HTTP1_ANSWERING);
    answer(p.pending[1]);
    assert_string_equal(output(&p), "");
    answer(p.pending[2]);
    assert_string_equal(output(&p), "");
    answer(p.pending[0]);
    assert_string_equal(output(&p), ANSWER("2", "/1") ANSWER("2", "/2") ANSWER("2", "/3"));
    assert_int_equal(p.hooked, 3);
    assert_int_equal(http1_phase(p.h), HTTP1_IDLE);
    assert_false(http1_done(p.h));
    peer_deinit(&p);
}

static void a_refusal_waits_for_the_answers_before_it(void **state)
{
    struct peer p;

    peer_init(&p);
    p.late = true;
    assert_int_equal(feed_str(&p, GET("/1") "bad\r\n"), 1);
    assert_string_equal(output(&p), "");
    assert_false(http1_done(p.h));
    assert_false(http1_wants_read(p.h));
    answer(p.pending[0]);
    assert_true(http1_done(p.h));
    assert_string_equal(output(&p), ANSWER("2", "/1") "HTTP/1.1 400 Bad Request\r\n"
                                                      "Content-Type: text/plain; charset=utf-8\r\n"
                                                      "Content-Length: 17\r\n"
                                                      "Connection: close\r\n\r\n"
                                                      "malformed method\n");
    assert_int_equal(feed_str(&p, GET("/2")), 1);
    assert_int_equal(p.npending, 1);
    peer_deinit(&p);
}

static void a_full_pipeline_keeps_the_rest_until_fed_again(void **state)
{
    cleanup_free char *in = repeat("", GET("/"), LIMIT_HTTP1_PIPELINE + 3, "GET /x HT");
    struct peer p;

    peer_init(&p);
    p.late = true;
    feed_str(&p, in);
    assert_int_equal(p.npending, LIMIT_HTTP1_PIPELINE);
    assert_false(http1_wants_read(p.h));
    feed_str(&p, "TP/1.1\r\n" HOST "\r\n");
    answer(p.pending[0]);
    answer(p.pending[1]);
    assert_int_equal(p.npending, LIMIT_HTTP1_PIPELINE); /* not from within an answer */
    feed(&p, SLICE_EMPTY);
    assert_int_equal(p.npending, LIMIT_HTTP1_PIPELINE + 2);
    for (size_t i = 2; i < p.npending; i++)
        answer(p.pending[i]);
    feed(&p, SLICE_EMPTY);
    assert_int_equal(p.npending, LIMIT_HTTP1_PIPELINE + 4);
    assert_true(slice_eq_str(p.pending[p.npending - 1]->req->path, "/x"));
    assert_true(http1_wants_read(p.h));
    peer_deinit(&p);
    assert_int_equal(p.aborted, 2);
}

static void input_past_the_bound_of_a_full_pipeline_ends_the_connection(void **state)
{
    cleanup_free char *in = repeat("", GET("/"), 1000, "");
    struct peer p;

    peer_init(&p);
    p.late = true;
    int r = 0;
    for (int i = 0; i < 3 && r == 0; i++)
        r = feed_str(&p, in);
    assert_int_equal(r, 1);
    for (size_t i = 0; i < p.npending; i++)
        answer(p.pending[i]);
    assert_true(http1_done(p.h));
    assert_non_null(strstr(output(&p), "HTTP/1.1 503 "));
    peer_deinit(&p);
}

static void handle_megabyte(void *ctx, struct http_exchange *x)
{
    int *calls = ctx;
    const size_t n = 1024 * 1024;
    cleanup_free uint8_t *body = xcalloc(1, n);

    ++*calls;
    http_reply(x, 200, NULL, slice_of(body, n));
}

static void a_reader_that_takes_nothing_stops_the_parser(void **state)
{
    cleanup_free char *in = repeat("", GET("/"), 100, "");
    int calls = 0;
    struct http1 *h = http1_new(handle_megabyte, &calls, BODY_MAX);

    assert_int_equal(http1_feed(h, slice_str(in)), 0);
    assert_int_equal(calls, LIMIT_STREAM_QUEUE / (1024 * 1024));
    assert_false(http1_wants_read(h));
    for (int i = 0; i < 100 && calls < 100; i++) {
        buf_consume(http1_output(h), http1_output(h)->n);
        assert_int_equal(http1_feed(h, SLICE_EMPTY), 0);
    }
    assert_int_equal(calls, 100);
    http1_free(h);
}

static void freeing_aborts_what_was_not_answered(void **state)
{
    struct peer p;

    peer_init(&p);
    p.late = true;
    feed_str(&p, GET("/1") GET("/2") GET("/3") "GET /par");
    answer(p.pending[1]);
    peer_deinit(&p);
    assert_int_equal(p.aborted, 2);
    http1_free(NULL);
}

static void head_gets_the_length_without_the_body(void **state)
{
    struct outcome o = run_all_ways(SLICE_LIT("HEAD /abc HTTP/1.1\r\n" HOST "\r\n" GET("/")));

    assert_string_equal(o.sent, ANSWER("4", "") ANSWER("1", "/"));
    outcome_free(o);
}

static void connection_header_tells_what_happens_next(void **state)
{
    static const struct {
        const char *in, *want;
        int result;
    } cases[] = {
        {"GET / HTTP/1.0\r\n\r\n", "\r\nConnection: close\r\n", 1},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "\r\nConnection: keep-alive\r\n", 0},
        {"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "\r\nConnection: close\r\n", 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outcome o = run_all_ways(slice_str(cases[i].in));
        assert_non_null(strstr(o.sent, cases[i].want));
        assert_int_equal(o.result, cases[i].result);
        outcome_free(o);
    }
}

static void reply_status(void *ctx, struct http_exchange *x)
{
    const int *status = ctx;
    struct http_header h = {SLICE_LIT("X"), SLICE_LIT("a\r\nEvil: b")};

    x->ops->reply(x, *status, &h, 1, SLICE_LIT("body"));
}

static void answers_without_a_body_have_no_length_and_no_smuggled_header(void **state)
{
    static const struct {
        int status;
        const char *want;
    } cases[] = {
        {204, "HTTP/1.1 204 No Content\r\nX: a  Evil: b\r\n\r\n"},
        {304, "HTTP/1.1 304 Not Modified\r\nX: a  Evil: b\r\n\r\n"},
        {599, "HTTP/1.1 599 Unknown\r\nX: a  Evil: b\r\nContent-Length: 4\r\n\r\nbody"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int status = cases[i].status;
        struct http1 *h = http1_new(reply_status, &status, BODY_MAX);
        assert_int_equal(http1_feed(h, SLICE_LIT(GET("/"))), 0);
        assert_string_equal(buf_cstr(http1_output(h)), cases[i].want);
        http1_free(h);
    }
}

static void reply_too_much(void *ctx, struct http_exchange *x)
{
    http_reply(x, 200, "a/b", slice_of("", (size_t)LIMIT_RESPONSE_BYTES + 1));
}

static void an_answer_past_the_bound_becomes_an_error(void **state)
{
    struct http1 *h = http1_new(reply_too_much, NULL, BODY_MAX);

    assert_int_equal(http1_feed(h, SLICE_LIT(GET("/"))), 0);
    assert_string_equal(buf_cstr(http1_output(h)), "HTTP/1.1 500 Internal Server Error\r\n"
                                                   "Content-Length: 17\r\n\r\n"
                                                   "answer too large\n");
    http1_free(h);
}

#define EXPECT "PUT /e HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n"

static void continue_is_sent_when_the_head_is_complete(void **state)
{
    struct peer p;

    peer_init(&p);
    feed_str(&p, EXPECT);
    assert_string_equal(output(&p), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(http1_phase(p.h), HTTP1_RECEIVING);
    buf_clear(http1_output(p.h));
    feed_str(&p, "ab");
    assert_string_equal(output(&p), ANSWER("2", "/e"));
    peer_deinit(&p);
}

static void continue_keeps_its_place_behind_late_answers(void **state)
{
    struct peer p;

    peer_init(&p);
    p.late = true;
    feed_str(&p, GET("/1") EXPECT);
    assert_string_equal(output(&p), "");
    answer(p.pending[0]);
    assert_string_equal(output(&p), ANSWER("2", "/1") "HTTP/1.1 100 Continue\r\n\r\n");
    feed_str(&p, "ab");
    answer(p.pending[1]);
    /* Not needed any more once the body has come. */
    buf_clear(http1_output(p.h));
    feed_str(&p, GET("/1") EXPECT "ab");
    answer(p.pending[2]);
    answer(p.pending[3]);
    assert_string_equal(output(&p), ANSWER("2", "/1") ANSWER("2", "/e"));
    peer_deinit(&p);
}

static void phase_tells_idle_from_receiving(void **state)
{
    struct peer p;

    peer_init(&p);
    assert_int_equal(http1_phase(p.h), HTTP1_IDLE);
    feed_str(&p, "\r\n");
    assert_int_equal(http1_phase(p.h), HTTP1_IDLE);
    feed_str(&p, "G");
    assert_int_equal(http1_phase(p.h), HTTP1_RECEIVING);
    feed_str(&p, "ET / HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(http1_phase(p.h), HTTP1_IDLE);
    assert_true(http1_wants_read(p.h));
    peer_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_understood_however_cut),
        cmocka_unit_test(bad_requests_are_refused_however_cut),
        cmocka_unit_test(a_bad_request_behind_good_ones_is_refused_after_their_answers),
        cmocka_unit_test(limits_are_met_exactly),
        cmocka_unit_test(late_answers_are_sent_in_the_order_of_requests),
        cmocka_unit_test(a_refusal_waits_for_the_answers_before_it),
        cmocka_unit_test(a_full_pipeline_keeps_the_rest_until_fed_again),
        cmocka_unit_test(input_past_the_bound_of_a_full_pipeline_ends_the_connection),
        cmocka_unit_test(a_reader_that_takes_nothing_stops_the_parser),
        cmocka_unit_test(freeing_aborts_what_was_not_answered),
        cmocka_unit_test(head_gets_the_length_without_the_body),
        cmocka_unit_test(connection_header_tells_what_happens_next),
        cmocka_unit_test(answers_without_a_body_have_no_length_and_no_smuggled_header),
        cmocka_unit_test(an_answer_past_the_bound_becomes_an_error),
        cmocka_unit_test(continue_is_sent_when_the_head_is_complete),
        cmocka_unit_test(continue_keeps_its_place_behind_late_answers),
        cmocka_unit_test(phase_tells_idle_from_receiving),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
