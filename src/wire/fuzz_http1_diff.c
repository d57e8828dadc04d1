/*
 * What we accept, llhttp (strict) accepts too, with the same method, target, fields, body and
 * end. Not the other way round: we refuse more.
 *
 * Known differences, where the comparison stops: methods llhttp does not know, and one whose
 * protocol it treats apart (SOURCE); chunk extensions that llhttp 8.1 cannot read although they are
 * well formed (a second one after "a=b", a backslash inside quotes); tabs around the values of
 * Content-Length, Transfer-Encoding and Connection, which to llhttp are no blanks; keep-alive and
 * close together in HTTP/1.0, where to llhttp keep-alive wins.
 */
#include <llhttp.h>

#include "wire/http1_parse.h"

#define BODY_MAX   4096
#define FIELDS_MAX (64u * 1024)

/* One message as llhttp saw it. */
struct seen {
    struct buf target, fields, body;
    int messages;
    bool in_head, keep_alive;
};

static int append(struct buf *b, const char *at, size_t n)
{
    assert(buf_append(b, at, n) == 0);
    return 0;
}

static int on_message_begin(llhttp_t *l)
{
    struct seen *s = l->data;

    s->in_head = true;
    return 0;
}

static int on_url(llhttp_t *l, const char *at, size_t n)
{
    return append(&((struct seen *)l->data)->target, at, n);
}

static int on_field(llhttp_t *l, const char *at, size_t n)
{
    struct seen *s = l->data;

    return s->in_head ? append(&s->fields, at, n) : 0; /* else a trailer */
}

static int on_field_end(llhttp_t *l)
{
    return on_field(l, ":", 1);
}

static int on_value_end(llhttp_t *l)
{
    struct buf *b = &((struct seen *)l->data)->fields;

    while (b->n && (b->p[b->n - 1] == ' ' || b->p[b->n - 1] == '\t'))
        b->n--;
    return on_field(l, "\n", 1);
}

static int on_headers_complete(llhttp_t *l)
{
    struct seen *s = l->data;

    s->in_head = false;
    s->keep_alive = llhttp_should_keep_alive(l);
    l->upgrade = 0; /* we go on in HTTP/1.1 */
    return 0;
}

static int on_body(llhttp_t *l, const char *at, size_t n)
{
    return append(&((struct seen *)l->data)->body, at, n);
}

static int on_message_complete(llhttp_t *l)
{
    ((struct seen *)l->data)->messages++;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_field,
    .on_header_field_complete = on_field_end,
    .on_header_value_complete = on_value_end,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static bool method_known(struct slice method)
{
#define X(num, name, string) #string,
    static const char *const names[] = {HTTP_METHOD_MAP(X)};
#undef X

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq_str(method, names[i]))
            return strcmp(names[i], "SOURCE") != 0;
    }
    return false;
}

/* The end of llhttp's target must be our path and query; before it an absolute URL has more. */
static void check_target(struct slice target, const struct http_request *r)
{
    size_t n = r->path.n + (r->query.n ? r->query.n + 1 : 0);
    const uint8_t *mark = memchr(target.p, '?', target.n);

    if (mark && r->query.n == 0)
        n++; /* "/?" */
    bool absolute = target.p[0] != '/' && target.p[0] != '*';
    if (absolute && slice_eq_str(r->path, "/"))
        n--; /* perhaps "http://host?query" */
    assert(n <= target.n && (absolute || n == target.n));
    struct slice end = slice_skip(target, target.n - n);
    assert(slice_eq(slice_skip(end, n - r->query.n), r->query));
    if (!absolute)
        assert(slice_starts(end, r->path));
}

static void check_message(const struct seen *s, const struct http1_message *m)
{
    const struct http_request *r = &m->req;
    cleanup_buf struct buf fields;

    buf_init(&fields, FIELDS_MAX);
    for (size_t i = 0; i < r->nheaders; i++) {
        append(&fields, (const char *)r->headers[i].name.p, r->headers[i].name.n);
        append(&fields, ":", 1);
        append(&fields, (const char *)r->headers[i].value.p, r->headers[i].value.n);
        append(&fields, "\n", 1);
    }
    check_target(buf_slice(&s->target), r);
    assert(slice_eq(buf_slice(&s->fields), buf_slice(&fields)));
    assert(slice_eq(buf_slice(&s->body), r->body));
}

/* Our next message from the front of *in: HTTP1_REQUEST, or what else ended it. */
static int next_message(struct http1_parser *p, struct slice *in)
{
    int r;

    do
        r = http1_parse(p, in);
    while (r == HTTP1_HEAD);
    return r;
}

/* False at a known difference. */
static bool llhttp_takes(llhttp_t *l, struct slice in, bool extensions)
{
    llhttp_errno_t e = llhttp_execute(l, (const char *)in.p, in.n);

    if (extensions && (e == HPE_INVALID_CHUNK_SIZE || e == HPE_STRICT))
        return false;
    if (memchr(in.p, '\t', in.n) &&
        (e == HPE_INVALID_CONTENT_LENGTH || e == HPE_INVALID_TRANSFER_ENCODING))
        return false;
    if (e != HPE_OK)
        fprintf(stderr, "llhttp: %s: %s\n", llhttp_errno_name(e), llhttp_get_error_reason(l));
    assert(e == HPE_OK);
    return true;
}

/* One message by both; whether to go on. */
static bool compare_one(struct http1_parser *p, llhttp_t *l, struct slice *in)
{
    struct seen seen = {0};
    struct http1_message m;
    const uint8_t *start = in->p;

    http1_message_init(&m, BODY_MAX);
    http1_parser_next(p, &m);
    bool go_on = next_message(p, in) == HTTP1_REQUEST && method_known(m.req.method);
    if (go_on) {
        buf_init(&seen.target, FIELDS_MAX);
        buf_init(&seen.fields, FIELDS_MAX);
        buf_init(&seen.body, FIELDS_MAX);
        l->data = &seen;
        if (!llhttp_takes(l, slice_of(start, (size_t)(in->p - start)), p->ext_bytes > 0))
            go_on = false;
    }
    if (go_on) {
        assert(seen.messages == 1);
        assert(slice_eq_str(m.req.method, llhttp_method_name(llhttp_get_method(l))));
        check_message(&seen, &m);
        go_on = m.req.keep_alive && seen.keep_alive;
    }
    buf_deinit(&seen.target);
    buf_deinit(&seen.fields);
    buf_deinit(&seen.body);
    http1_message_deinit(&m);
    return go_on;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {data, size};
    struct http1_parser p;
    llhttp_t l;

    http1_parser_init(&p, BODY_MAX);
    llhttp_init(&l, HTTP_REQUEST, &settings);
    while (in.n && compare_one(&p, &l, &in))
        ;
    http1_parser_deinit(&p);
    return 0;
}
