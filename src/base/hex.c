#include "base/hex.h"

#include <errno.h>

static const char digits[] = "0123456789abcdef";

void hex_encode(const void *p, size_t n, char *out)
{
    const uint8_t *in = p;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
}

int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_decode(struct slice text, uint8_t *out)
{
    if (text.n % 2)
        return -EINVAL;
    for (size_t i = 0; i < text.n; i += 2) {
        int hi = hex_digit(text.p[i]);
        int lo = hex_digit(text.p[i + 1]);
        if (hi < 0 || lo < 0)
            return -EINVAL;
        out[i / 2] = (uint8_t)(hi << 4 | lo);
    }
    return 0;
}

char *hex_u64(uint64_t v, char out[HEX_U64_MAX])
{
    int n = 1;

    while (n < 16 && v >> (4 * n))
        n++;
    for (int i = 0; i < n; i++)
        out[i] = digits[v >> (4 * (n - 1 - i)) & 15];
    out[n] = 0;
    return out;
}

int hex_u64_parse(struct slice text, uint64_t *ret_v)
{
    uint64_t v = 0;
    bool past = false;

    if (text.n == 0)
        return -EINVAL;
    for (size_t i = 0; i < text.n; i++) {
        int d = hex_digit(text.p[i]);
        if (d < 0)
            return -EINVAL;
        past |= v >> 60 != 0;
        v = v << 4 | (uint64_t)d;
    }
    if (past)
        return -ERANGE;
    *ret_v = v;
    return 0;
}
