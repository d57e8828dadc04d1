#include "wire/http.h"

#include "base/buf.h"

static inline uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool equal_nocase(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

bool http_token_is(struct slice token, const char *want)
{
    return equal_nocase(token, slice_str(want));
}

struct slice http_header_get(const struct http_request *r, const char *name)
{
    struct slice want = slice_str(name);

    for (size_t i = 0; i < r->nheaders; i++) {
        if (equal_nocase(r->headers[i].name, want))
            return r->headers[i].value;
    }
    return SLICE_EMPTY;
}

static struct slice trim(struct slice s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_skip(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* What stands before the next sep, which *rest then starts behind; all of it if there is none. */
static struct slice cut(struct slice *rest, char sep)
{
    struct slice head = *rest;
    const uint8_t *at = head.n ? memchr(head.p, sep, head.n) : NULL;

    if (at)
        head.n = (size_t)(at - head.p);
    *rest = slice_skip(*rest, at ? head.n + 1 : head.n);
    return head;
}

bool http_list_has(struct slice value, const char *want)
{
    while (value.n) {
        if (http_token_is(trim(cut(&value, ',')), want))
            return true;
    }
    return false;
}

int http_hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte the text at the front of *in stands for, which is taken from *in; -EINVAL. */
static int decode_byte(struct slice *in, bool plus)
{
    uint8_t c = in->p[0];

    if (c != '%') {
        *in = slice_skip(*in, 1);
        return plus && c == '+' ? ' ' : c;
    }
    int hi = in->n > 2 ? http_hex_digit(in->p[1]) : -1;
    int lo = in->n > 2 ? http_hex_digit(in->p[2]) : -1;
    if (hi < 0 || lo < 0)
        return -EINVAL;
    *in = slice_skip(*in, 3);
    return hi << 4 | lo;
}

int http_percent_decode(struct slice in, bool plus, struct buf *out)
{
    size_t before = out->n;

    while (in.n) {
        int c = decode_byte(&in, plus);
        int r = c < 0 ? c : buf_append_byte(out, (uint8_t)c);
        if (r < 0) {
            out->n = before;
            return r;
        }
    }
    return 0;
}

static bool decodes_to(struct slice in, struct slice want)
{
    size_t i = 0;

    while (in.n) {
        int c = decode_byte(&in, true);
        if (c < 0 || i >= want.n || c != want.p[i++])
            return false;
    }
    return i == want.n;
}

int http_query_get(struct slice query, const char *name, struct buf *out)
{
    struct slice want = slice_str(name);

    while (query.n) {
        struct slice value = cut(&query, '&');
        if (value.n == 0)
            continue; /* "a=1&&b=2" */
        struct slice key = cut(&value, '=');
        if (decodes_to(key, want))
            return http_percent_decode(value, true, out);
    }
    return -ENOENT;
}

static const struct {
    int status;
    const char *text;
} status_texts[] = {
    /* RFC 9110, section 15; 429 and 431 are RFC 6585's; 499 is what gRPC gateways send */
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *http_status_text(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(status_texts); i++) {
        if (status_texts[i].status == status)
            return status_texts[i].text;
    }
    return "Unknown";
}
