#include "base/json_write.h"

#include "base/base64.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/utf8.h"

#define ESCAPE_MAX 6 /* \u00xx */

static_assert(JSON_DEPTH_MAX <= 64, "is_array has a bit for each level");

/* The letter of a two-character escape, or 0. */
static char short_escape(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static bool is_plain(uint8_t c, unsigned flags)
{
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
        return false;
    return !(flags & JSON_HTML) || (c != '<' && c != '>' && c != '&');
}

static size_t put_u(char *out, unsigned code)
{
    out[0] = '\\';
    out[1] = 'u';
    hex_encode((uint8_t[]){(uint8_t)(code >> 8), (uint8_t)code}, 2, out + 2);
    return ESCAPE_MAX;
}

/* U+2028 and U+2029 end a line in JavaScript, so encoding/json always escapes them. */
static bool is_line_separator(struct slice s)
{
    return s.p[0] == 0xe2 && s.p[1] == 0x80 && (s.p[2] & 0xfe) == 0xa8;
}

/* One character that is not plain: its form to out, its size there; *ret_taken bytes of s. */
static size_t escape_one(struct slice s, unsigned flags, char out[ESCAPE_MAX], size_t *ret_taken)
{
    uint8_t c = s.p[0];

    *ret_taken = 1;
    if (c < 0x80) {
        char letter = short_escape(c);
        if (!letter)
            return put_u(out, c);
        out[0] = '\\';
        out[1] = letter;
        return 2;
    }
    size_t len = utf8_char_len(s);
    if (len == 0)
        return put_u(out, 0xfffd);
    *ret_taken = len;
    if (len == 3 && is_line_separator(s))
        return put_u(out, 0x2028 | (s.p[2] & 1));
    memcpy(out, s.p, len);
    return len;
}

size_t json_escape(struct slice *in, unsigned flags, char *out, size_t room)
{
    size_t n = 0;

    while (in->n) {
        size_t run = 0;
        size_t run_max = MIN(in->n, room - n);
        while (run < run_max && is_plain(in->p[run], flags))
            run++;
        if (run) {
            memcpy(out + n, in->p, run);
            n += run;
            *in = slice_skip(*in, run);
            continue;
        }
        if (run_max == 0)
            break;
        char form[ESCAPE_MAX];
        size_t taken;
        size_t len = escape_one(*in, flags, form, &taken);
        if (len > room - n)
            break;
        memcpy(out + n, form, len);
        n += len;
        *in = slice_skip(*in, taken);
    }
    return n;
}

void json_write_init(struct json_writer *w, struct buf *out, unsigned flags)
{
    *w = (struct json_writer){.out = out, .flags = flags};
}

int json_write_finish(struct json_writer *w)
{
    if (w->failure == 0) {
        assert(w->depth == 0);
        assert(w->has_items);
    }
    return w->failure;
}

static void put(struct json_writer *w, const void *p, size_t n)
{
    if (w->failure == 0)
        w->failure = buf_append(w->out, p, n);
}

/* Room for n bytes, which the caller fills; NULL after a failure. */
static char *room_for(struct json_writer *w, size_t n)
{
    if (w->failure == 0)
        w->failure = buf_reserve(w->out, n);
    if (w->failure < 0)
        return NULL;
    char *p = (char *)w->out->p + w->out->n;
    w->out->n += n;
    return p;
}

static bool in_array(const struct json_writer *w)
{
    return w->depth && w->is_array >> (w->depth - 1) & 1;
}

/* Before any value: the comma, and the law of the order. False after a failure. */
static bool begin_value(struct json_writer *w)
{
    if (w->failure < 0)
        return false;
    if (w->depth == 0) {
        assert(!w->has_items); /* one value is the whole text */
    } else if (in_array(w)) {
        if (w->has_items)
            put(w, ",", 1);
    } else {
        assert(w->has_key);
    }
    w->has_key = false;
    w->has_items = true;
    return true;
}

static void open_level(struct json_writer *w, bool array)
{
    if (!begin_value(w))
        return;
    if (w->depth == JSON_DEPTH_MAX) {
        w->failure = ERR_LIMIT;
        return;
    }
    uint64_t bit = 1ULL << w->depth;
    w->is_array = array ? w->is_array | bit : w->is_array & ~bit;
    w->depth++;
    w->has_items = false;
    put(w, array ? "[" : "{", 1);
}

static void close_level(struct json_writer *w, bool array)
{
    if (w->failure < 0)
        return;
    assert(w->depth > 0);
    assert(in_array(w) == array);
    assert(!w->has_key);
    w->depth--;
    w->has_items = true;
    put(w, array ? "]" : "}", 1);
}

void json_write_object(struct json_writer *w)
{
    open_level(w, false);
}

void json_write_object_end(struct json_writer *w)
{
    close_level(w, false);
}

void json_write_array(struct json_writer *w)
{
    open_level(w, true);
}

void json_write_array_end(struct json_writer *w)
{
    close_level(w, true);
}

static void put_quoted(struct json_writer *w, struct slice s)
{
    put(w, "\"", 1);
    while (s.n && w->failure == 0) {
        /* Mostly one turn: few strings hold anything to escape. Near max it takes what is left. */
        size_t room = w->out->max - w->out->n;
        room = MIN(MAX(s.n, (size_t)ESCAPE_MAX), room);
        w->failure = buf_reserve(w->out, room);
        if (w->failure < 0)
            return;
        size_t n = json_escape(&s, w->flags, (char *)w->out->p + w->out->n, room);
        w->out->n += n;
        if (n == 0)
            w->failure = -ENOBUFS;
    }
    put(w, "\"", 1);
}

void json_write_key(struct json_writer *w, struct slice key)
{
    if (w->failure < 0)
        return;
    assert(w->depth > 0);
    assert(!in_array(w));
    assert(!w->has_key);
    if (w->has_items)
        put(w, ",", 1);
    put_quoted(w, key);
    put(w, ":", 1);
    w->has_key = true;
}

void json_write_str(struct json_writer *w, struct slice s)
{
    if (begin_value(w))
        put_quoted(w, s);
}

/* Digits before end; returns where they begin. */
static char *decimal(uint64_t v, char *end)
{
    do
        *--end = (char)('0' + v % 10);
    while (v /= 10);
    return end;
}

static void put_number(struct json_writer *w, uint64_t magnitude, bool negative, bool quoted)
{
    char text[24]; /* quotes, sign, 20 digits */
    char *end = text + sizeof text;

    if (!begin_value(w))
        return;
    if (quoted)
        *--end = '"';
    char *p = decimal(magnitude, end);
    if (negative)
        *--p = '-';
    if (quoted)
        *--p = '"';
    put(w, p, (size_t)(text + sizeof text - p));
}

static uint64_t magnitude_of(int64_t v)
{
    return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

void json_write_i64(struct json_writer *w, int64_t v)
{
    put_number(w, magnitude_of(v), v < 0, false);
}

void json_write_u64(struct json_writer *w, uint64_t v)
{
    put_number(w, v, false, false);
}

void json_write_i64_quoted(struct json_writer *w, int64_t v)
{
    put_number(w, magnitude_of(v), v < 0, true);
}

void json_write_u64_quoted(struct json_writer *w, uint64_t v)
{
    put_number(w, v, false, true);
}

void json_write_bool(struct json_writer *w, bool v)
{
    json_write_raw(w, v ? SLICE_LIT("true") : SLICE_LIT("false"));
}

void json_write_null(struct json_writer *w)
{
    json_write_raw(w, SLICE_LIT("null"));
}

void json_write_raw(struct json_writer *w, struct slice json)
{
    if (begin_value(w))
        put(w, json.p, json.n);
}

void json_write_base64(struct json_writer *w, struct slice bytes)
{
    if (!begin_value(w))
        return;
    /* Checked before the product, which must not overflow. */
    if (bytes.n > w->out->max) {
        w->failure = -ENOBUFS;
        return;
    }
    size_t n = base64_encoded_len(bytes.n);
    char *p = room_for(w, n + 2);
    if (!p)
        return;
    p[0] = '"';
    base64_encode(bytes.p, bytes.n, p + 1);
    p[n + 1] = '"';
}
