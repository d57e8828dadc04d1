#include "etcdctl/goquote.h"

#include "base/hex.h"
#include "base/utf8.h"

/* Characters between 0x80 and 0xffff that Go does not print as they are: controls, spaces other
 * than ASCII's, format characters, surrogates, private use. */
static const struct {
    uint32_t first, last;
} unprintable[] = {
    {0x80, 0xa0},     {0xad, 0xad},       {0x600, 0x605},      {0x61c, 0x61c},   {0x6dd, 0x6dd},
    {0x70f, 0x70f},   {0x1680, 0x1680},   {0x180e, 0x180e},    {0x2000, 0x200f}, {0x2028, 0x202f},
    {0x205f, 0x206f}, {0x3000, 0x3000},   {0xd800, 0xf8ff},    {0xfeff, 0xfeff}, {0xfff0, 0xfffb},
    {0xfffe, 0xffff}, {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff},
};

static uint32_t utf8_decode(const uint8_t *p, size_t n)
{
    static const uint8_t lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = p[0] & lead[n];

    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

static bool printable(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(unprintable); i++)
        if (c >= unprintable[i].first && c <= unprintable[i].last)
            return false;
    return c >= 0x20 && c != 0x7f;
}

static const char escapes[] = "\aa\bb\ff\nn\rr\tt\vv";

static int quote_ascii(struct buf *out, uint8_t c)
{
    if (c == '"' || c == '\\')
        return buf_printf(out, "\\%c", c);
    for (size_t i = 0; i + 1 < sizeof escapes - 1; i += 2)
        if (c == (uint8_t)escapes[i])
            return buf_printf(out, "\\%c", escapes[i + 1]);
    if (c < 0x20 || c == 0x7f)
        return buf_printf(out, "\\x%02x", c);
    return buf_append_byte(out, c);
}

/* The first character of s; returns its length through ret_n. */
static int quote_char(struct buf *out, struct slice s, size_t *ret_n)
{
    size_t n = utf8_char_len(s);

    *ret_n = n ? n : 1;
    if (n == 0)
        return buf_printf(out, "\\x%02x", s.p[0]);
    if (n == 1)
        return quote_ascii(out, s.p[0]);
    uint32_t c = utf8_decode(s.p, n);
    if (printable(c))
        return buf_append(out, s.p, n);
    return buf_printf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

int go_quote(struct buf *out, struct slice s)
{
    int r = buf_append_byte(out, '"');

    while (r == 0 && s.n > 0) {
        size_t n;
        r = quote_char(out, s, &n);
        s = slice_skip(s, n);
    }
    return r < 0 ? r : buf_append_byte(out, '"');
}

static int append_utf8(struct buf *out, uint32_t c)
{
    uint8_t b[4];

    if (c >= 0xd800 && c < 0xe000)
        return -EINVAL;
    if (c < 0x80)
        return buf_append_byte(out, (uint8_t)c);
    if (c < 0x800) {
        b[0] = (uint8_t)(0xc0 | c >> 6), b[1] = (uint8_t)(0x80 | (c & 0x3f));
        return buf_append(out, b, 2);
    }
    if (c < 0x10000) {
        b[0] = (uint8_t)(0xe0 | c >> 12), b[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        b[2] = (uint8_t)(0x80 | (c & 0x3f));
        return buf_append(out, b, 3);
    }
    if (c > 0x10ffff)
        return -EINVAL;
    b[0] = (uint8_t)(0xf0 | c >> 18), b[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    b[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f)), b[3] = (uint8_t)(0x80 | (c & 0x3f));
    return buf_append(out, b, 4);
}

/* n digits of the base from the front of *in. */
static int take_digits(struct slice *in, size_t n, unsigned base, uint32_t *ret_v)
{
    uint32_t v = 0;

    if (in->n < n)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        int d = hex_digit(in->p[i]);
        if (d < 0 || (unsigned)d >= base)
            return -EINVAL;
        v = v * base + (uint32_t)d;
    }
    *in = slice_skip(*in, n);
    *ret_v = v;
    return 0;
}

static int unquote_byte(struct slice *in, size_t digits, unsigned base, struct buf *out)
{
    uint32_t v;
    int r = take_digits(in, digits, base, &v);

    if (r < 0)
        return r;
    return v > 0xff ? -EINVAL : buf_append_byte(out, (uint8_t)v);
}

static int unquote_rune(struct slice *in, size_t digits, struct buf *out)
{
    uint32_t v;
    int r = take_digits(in, digits, 16, &v);

    return r < 0 ? r : append_utf8(out, v);
}

/* What stands behind a backslash. */
static int unquote_escape(struct slice *in, struct buf *out)
{
    if (in->n == 0)
        return -EINVAL;
    uint8_t c = in->p[0];

    if (c >= '0' && c <= '7')
        return unquote_byte(in, 3, 8, out);
    *in = slice_skip(*in, 1);
    switch (c) {
    case 'x':
        return unquote_byte(in, 2, 16, out);
    case 'u':
        return unquote_rune(in, 4, out);
    case 'U':
        return unquote_rune(in, 8, out);
    case '"':
    case '\\':
        return buf_append_byte(out, c);
    default:
        break;
    }
    for (size_t i = 0; i + 1 < sizeof escapes - 1; i += 2)
        if (c == (uint8_t)escapes[i + 1])
            return buf_append_byte(out, (uint8_t)escapes[i]);
    return -EINVAL;
}

static int unquote_raw(struct slice *in, struct slice s, struct buf *out)
{
    const uint8_t *end = memchr(s.p, '`', s.n);

    if (!end)
        return -EINVAL;
    size_t n = (size_t)(end - s.p);
    *in = slice_skip(s, n + 1);
    return buf_append(out, s.p, n);
}

int go_unquote(struct slice *in, struct buf *out)
{
    if (in->n == 0 || (in->p[0] != '"' && in->p[0] != '`'))
        return -EINVAL;
    struct slice s = slice_skip(*in, 1);
    if (in->p[0] == '`')
        return unquote_raw(in, s, out);
    while (s.n > 0) {
        uint8_t c = s.p[0];
        int r;
        s = slice_skip(s, 1);
        if (c == '"') {
            *in = s;
            return 0;
        }
        if (c == '\n')
            return -EINVAL;
        r = c == '\\' ? unquote_escape(&s, out) : buf_append_byte(out, c);
        if (r < 0)
            return r;
    }
    return -EINVAL;
}
