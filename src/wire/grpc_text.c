#include "wire/grpc_text.h"

#include "base/clock.h"

#define TIMEOUT_DIGITS 8
#define READER_KEEP    4096

void grpc_reader_init(struct grpc_reader *r, size_t max)
{
    *r = (struct grpc_reader){.max = max};
    buf_init(&r->body, max ? max : 1);
}

void grpc_reader_deinit(struct grpc_reader *r)
{
    buf_deinit(&r->body);
}

static struct slice take(struct slice *in, size_t n)
{
    struct slice s = slice_of(in->p, n);

    *in = slice_skip(*in, n);
    return s;
}

static enum grpc_read read_head(struct grpc_reader *r, struct slice *in)
{
    struct slice s = take(in, MIN(in->n, (size_t)GRPC_FRAME_HEAD - r->head_n));

    memcpy(r->head + r->head_n, s.p, s.n);
    r->head_n = (uint8_t)(r->head_n + s.n);
    if (r->head_n < GRPC_FRAME_HEAD)
        return GRPC_READ_MORE;
    r->need = get_be32(r->head + 1);
    if (r->head[0])
        return GRPC_READ_COMPRESSED;
    if (r->need > r->max)
        return GRPC_READ_TOO_LARGE;
    r->in_body = true;
    r->head_n = 0;
    buf_shrink(&r->body, READER_KEEP); /* the last message, returned by the call before */
    return GRPC_READ_MORE;
}

enum grpc_read grpc_reader_next(struct grpc_reader *r, struct slice *in, struct slice *ret_msg)
{
    if (!r->in_body) {
        if (in->n == 0)
            return GRPC_READ_MORE;
        enum grpc_read got = read_head(r, in);
        if (got != GRPC_READ_MORE || !r->in_body)
            return got;
    }
    if (r->body.n == 0 && in->n >= r->need) {
        *ret_msg = take(in, r->need);
    } else {
        /* Memory grows with what has come, not with what was announced. */
        struct slice s = take(in, MIN(in->n, r->need - r->body.n));
        if (buf_append_slice(&r->body, s) < 0)
            return GRPC_READ_TOO_LARGE;
        if (r->body.n < r->need)
            return GRPC_READ_MORE;
        *ret_msg = buf_slice(&r->body);
    }
    r->in_body = false;
    return GRPC_READ_MESSAGE;
}

int grpc_text_encode(struct slice text, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        bool plain = c >= 0x20 && c <= 0x7e && c != '%';
        uint8_t enc[3] = {'%', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};
        int r = plain ? buf_append_byte(out, c) : buf_append(out, enc, 3);
        if (r < 0)
            return r;
    }
    return 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int grpc_text_decode(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '%' && i + 2 < text.n && hex_digit(text.p[i + 1]) >= 0 &&
            hex_digit(text.p[i + 2]) >= 0) {
            c = (uint8_t)(hex_digit(text.p[i + 1]) << 4 | hex_digit(text.p[i + 2]));
            i += 2;
        }
        int r = buf_append_byte(out, c);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct {
    char letter;
    uint64_t ns;
} units[] = {{'n', 1},        {'u', NS_PER_US},     {'m', NS_PER_MS},
             {'S', NS_PER_S}, {'M', 60 * NS_PER_S}, {'H', 3600 * NS_PER_S}};

int grpc_timeout_parse(struct slice s, uint64_t *ret_ns)
{
    uint64_t v = 0, ns;

    if (s.n < 2 || s.n > TIMEOUT_DIGITS + 1)
        return -EINVAL;
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -EINVAL;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].letter != s.p[s.n - 1])
            continue;
        *ret_ns = __builtin_mul_overflow(v, units[i].ns, &ns) ? UINT64_MAX : ns;
        return 0;
    }
    return -EINVAL;
}

size_t grpc_timeout_format(uint64_t ns, char out[16])
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        uint64_t v = ns / units[i].ns + (ns % units[i].ns != 0);
        if (v < 100000000) /* TIMEOUT_DIGITS */
            return (size_t)snprintf(out, 16, "%" PRIu64 "%c", v, units[i].letter);
    }
    return (size_t)snprintf(out, 16, "99999999H");
}
