#include "wire/http1_grammar.h"

#define CHUNK_SIZE_DIGITS 16 /* what 64 bits hold, so that no size can overflow */

/* Classes of bytes. A byte outside all of them (NUL, CR, LF, DEL...) stands nowhere in a request.
 */
enum {
    T = 1, /* token: tchar of RFC 9110, 5.6.2 */
    G = 2, /* request target: visible ASCII but '#', which never goes on the wire. Wider than RFC
              3986 by "<>\^`{|}, which clients do send and which mean nothing to framing. */
    V = 4, /* field value: visible, blank, tab, obs-text */
    H = 8, /* host and port */
};
/* clang-format off */
static const uint8_t classes[256] = {
    ['\t'] = V, [' '] = V,
    ['!'] = T|G|V|H, ['"'] = G|V, ['#'] = T|V, ['$' ... '\''] = T|G|V|H, ['(' ... ')'] = G|V|H,
    ['*' ... '+'] = T|G|V|H, [','] = G|V|H, ['-' ... '.'] = T|G|V|H, ['/'] = G|V,
    ['0' ... '9'] = T|G|V|H, [':' ... ';'] = G|V|H, ['<'] = G|V, ['='] = G|V|H, ['>' ... '@'] = G|V,
    ['A' ... 'Z'] = T|G|V|H, ['['] = G|V|H, ['\\'] = G|V, [']'] = G|V|H, ['^'] = T|G|V,
    ['_'] = T|G|V|H, ['`'] = T|G|V, ['a' ... 'z'] = T|G|V|H, ['{'] = G|V, ['|'] = T|G|V,
    ['}'] = G|V, ['~'] = T|G|V|H, [0x80 ... 0xff] = V,
};
/* clang-format on */

/* How many bytes at the front of s are of the class. */
static size_t span(struct slice s, int class)
{
    size_t i = 0;

    while (i < s.n && (classes[s.p[i]] & class))
        i++;
    return i;
}

int http1_refuse(struct http1_refusal *no, int status, const char *why)
{
    *no = (struct http1_refusal){status, why};
    return ERR_MALFORMED;
}

bool http1_may_begin(uint8_t c)
{
    return (classes[c] & T) || c == '\r';
}

static struct slice take(struct slice *s, size_t n)
{
    struct slice head = {s->p, n};

    *s = slice_skip(*s, n);
    return head;
}

static int version(struct slice v, int *ret, struct http1_refusal *no)
{
    static const char pattern[] = "HTTP/d.d";

    if (v.n != sizeof pattern - 1)
        return http1_refuse(no, 400, "malformed request line");
    for (size_t i = 0; i < v.n; i++) {
        bool digit = v.p[i] >= '0' && v.p[i] <= '9';
        if (pattern[i] == 'd' ? !digit : v.p[i] != pattern[i])
            return http1_refuse(no, 400, "malformed HTTP version");
    }
    *ret = (v.p[5] - '0') * 10 + v.p[7] - '0';
    if (*ret != 10 && *ret != 11)
        return http1_refuse(no, 505, "only HTTP/1.0 and HTTP/1.1 are served here");
    return 0;
}

/* Path and query; what is left of the target begins with '/' or '?', or is empty. */
static void split_path(struct slice s, struct http_request *req)
{
    const uint8_t *mark = s.n ? memchr(s.p, '?', s.n) : NULL;

    req->path = mark ? slice_of(s.p, (size_t)(mark - s.p)) : s;
    req->query = mark ? slice_skip(s, req->path.n + 1) : SLICE_EMPTY;
    if (req->path.n == 0)
        req->path = SLICE_LIT("/");
}

/* "http://host:port/path?query" (RFC 9112, 3.2.2: to be accepted, and to win over Host). */
static int absolute_form(struct slice t, struct http_request *req, struct http1_refusal *no)
{
    static const char *const schemes[] = {"http://", "https://"};
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);
        if (t.n >= len && http_token_is(slice_of(t.p, len), schemes[i]))
            n = len;
    }
    if (n == 0)
        return http1_refuse(no, 400, "request target must be a path or an http URL");
    t = slice_skip(t, n);
    req->authority = take(&t, span(t, H));
    if (req->authority.n == 0 || (t.n && t.p[0] != '/' && t.p[0] != '?'))
        return http1_refuse(no, 400, "malformed host in the request target");
    split_path(t, req);
    return 0;
}

static int target(struct slice t, struct http_request *req, struct http1_refusal *no)
{
    if (t.n == 0 || span(t, G) != t.n)
        return http1_refuse(no, 400, "empty request target, or a byte that must be %-encoded");
    if (t.p[0] == '/') {
        split_path(t, req);
        return 0;
    }
    if (!slice_eq_str(t, "*"))
        return absolute_form(t, req, no);
    if (!slice_eq_str(req->method, "OPTIONS"))
        return http1_refuse(no, 400, "request target '*' is for OPTIONS only");
    req->path = t;
    return 0;
}

int http1_request_line(struct slice line, struct http_request *req, struct http1_refusal *no)
{
    req->method = take(&line, span(line, T));
    if (req->method.n == 0 || line.n == 0 || line.p[0] != ' ')
        return http1_refuse(no, 400, "malformed method");
    line = slice_skip(line, 1);
    /* The target ends at the first blank; a second one then spoils the version. */
    const uint8_t *blank = line.n ? memchr(line.p, ' ', line.n) : NULL;
    if (!blank)
        return http1_refuse(no, 400, "malformed request line");
    struct slice t = take(&line, (size_t)(blank - line.p));
    int r = version(slice_skip(line, 1), &req->version, no);
    if (r < 0)
        return r;
    /* A proxy's method, and the one that HTTP/2's preface keeps reserved. */
    if (slice_eq_str(req->method, "CONNECT") || slice_eq_str(req->method, "PRI"))
        return http1_refuse(no, 501, "method not served");
    return target(t, req, no);
}

int http1_field_line(struct slice line, struct http_header *ret, struct http1_refusal *no)
{
    assert(line.n > 0);
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return http1_refuse(no, 400, "folded header line");
    ret->name = take(&line, span(line, T));
    if (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
        return http1_refuse(no, 400, "blank in a header name");
    if (ret->name.n == 0 || line.n == 0 || line.p[0] != ':')
        return http1_refuse(no, 400, "malformed header line");
    line = slice_skip(line, 1);
    if (span(line, V) != line.n)
        return http1_refuse(no, 400, "control byte in a header value");
    while (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
        line = slice_skip(line, 1);
    while (line.n && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
        line.n--;
    ret->value = line;
    return 0;
}

int http1_content_length(struct slice value, uint64_t *ret, struct http1_refusal *no)
{
    uint64_t v = 0;
    bool over = false;

    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = value.p[i];
        if (c < '0' || c > '9')
            return http1_refuse(no, 400, "Content-Length must be one decimal number");
        over |= __builtin_mul_overflow(v, 10, &v);
        over |= __builtin_add_overflow(v, c - '0', &v);
    }
    if (value.n == 0)
        return http1_refuse(no, 400, "empty Content-Length");
    *ret = over ? UINT64_MAX : v;
    return 0;
}

int http1_transfer_coding(struct slice value, struct http1_refusal *no)
{
    static const char last[] = "chunked";
    size_t n = sizeof last - 1;

    if (http_token_is(value, last))
        return 0;
    bool ends_chunked = value.n > n && http_token_is(slice_skip(value, value.n - n), last) &&
                        strchr(", \t", value.p[value.n - n - 1]);
    if (ends_chunked)
        return http1_refuse(no, 501, "the only transfer coding understood is chunked");
    return http1_refuse(no, 400, "the last transfer coding must be chunked");
}

int http1_host(struct slice value, struct http1_refusal *no)
{
    if (span(value, H) != value.n)
        return http1_refuse(no, 400, "malformed Host");
    return 0;
}

/* Takes "…" from the front; false if it does not end. */
static bool take_quoted(struct slice *s)
{
    for (size_t i = 1; i < s->n && (classes[s->p[i]] & V); i++) {
        if (s->p[i] == '"') {
            *s = slice_skip(*s, i + 1);
            return true;
        }
        if (s->p[i] == '\\' && ++i < s->n && !(classes[s->p[i]] & V))
            return false;
    }
    return false;
}

/* Takes ";name", ";name=token" or ";name="quoted"" from the front. Blanks around ';' and '=' are
 * "bad whitespace" in the grammar; nobody sends them, so we need not read them. */
static bool take_extension(struct slice *s)
{
    if (s->p[0] != ';')
        return false;
    *s = slice_skip(*s, 1);
    if (take(s, span(*s, T)).n == 0)
        return false;
    if (s->n == 0 || s->p[0] != '=')
        return true;
    *s = slice_skip(*s, 1);
    if (s->n && s->p[0] == '"')
        return take_quoted(s);
    return take(s, span(*s, T)).n > 0;
}

int http1_chunk_line(struct slice line, uint64_t *ret_size, struct http1_refusal *no)
{
    uint64_t size = 0;
    size_t i = 0;

    for (; i < line.n && i <= CHUNK_SIZE_DIGITS && http_hex_digit(line.p[i]) >= 0; i++)
        size = size << 4 | (uint64_t)http_hex_digit(line.p[i]);
    if (i == 0 || i > CHUNK_SIZE_DIGITS)
        return http1_refuse(no, 400, "malformed chunk size");
    line = slice_skip(line, i);
    while (line.n) {
        if (!take_extension(&line))
            return http1_refuse(no, 400, "malformed chunk extension");
    }
    *ret_size = size;
    return 0;
}
