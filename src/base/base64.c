#include "base/base64.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *p, size_t n, char *out)
{
    const uint8_t *in = p;

    for (; n >= 3; in += 3, n -= 3, out += 4) {
        uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        out[0] = alphabet[v >> 18];
        out[1] = alphabet[v >> 12 & 63];
        out[2] = alphabet[v >> 6 & 63];
        out[3] = alphabet[v & 63];
    }
    if (n == 0)
        return;
    uint32_t v = (uint32_t)in[0] << 16 | (n == 2 ? (uint32_t)in[1] << 8 : 0);
    out[0] = alphabet[v >> 18];
    out[1] = alphabet[v >> 12 & 63];
    out[2] = n == 2 ? alphabet[v >> 6 & 63] : '=';
    out[3] = '=';
}

static int sextet(uint8_t c, bool url_too)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || (url_too && c == '-'))
        return 62;
    if (c == '/' || (url_too && c == '_'))
        return 63;
    return -1;
}

/* text without padding. *ret_rest: the bits of the last character that belong to no byte. */
static int decode_body(struct slice text, bool url_too, uint8_t *out, size_t *ret_n,
                       uint32_t *ret_rest)
{
    uint32_t acc = 0;
    unsigned bits = 0;
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        int v = sextet(text.p[i], url_too);
        if (v < 0)
            return -EINVAL;
        acc = (acc << 6 | (uint32_t)v) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (uint8_t)(acc >> bits);
        }
    }
    *ret_n = n;
    *ret_rest = acc & ((1u << bits) - 1);
    /* One character alone carries no whole byte. */
    return text.n % 4 == 1 ? -EINVAL : 0;
}

static struct slice without_padding(struct slice text)
{
    for (int i = 0; i < 2 && text.n && text.p[text.n - 1] == '='; i++)
        text.n--;
    return text;
}

int base64_decode(struct slice text, uint8_t *out, size_t *ret_n)
{
    uint32_t rest;

    if (text.n % 4)
        return -EINVAL;
    int r = decode_body(without_padding(text), false, out, ret_n, &rest);
    return r < 0 || rest ? -EINVAL : 0;
}

int base64_decode_any(struct slice text, uint8_t *out, size_t *ret_n)
{
    struct slice body = without_padding(text);
    uint32_t rest;

    if (body.n != text.n && text.n % 4)
        return -EINVAL;
    return decode_body(body, true, out, ret_n, &rest);
}
