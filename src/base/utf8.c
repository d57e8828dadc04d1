#include "base/utf8.h"

#include "base/util.h"

/* RFC 3629 section 4: the first byte gives the length and what the second may be; all further
 * bytes are 80..bf. */
struct lead {
    uint8_t first, last; /* range of the first byte */
    uint8_t len;
    uint8_t second_min, second_max;
};

static const struct lead leads[] = {
    {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf}, {0xe1, 0xec, 3, 0x80, 0xbf},
    {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf},
    {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

static const struct lead *lead_of(uint8_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(leads); i++)
        if (c >= leads[i].first && c <= leads[i].last)
            return &leads[i];
    return NULL;
}

size_t utf8_char_len(struct slice s)
{
    if (s.n == 0)
        return 0;
    if (s.p[0] < 0x80)
        return 1;
    const struct lead *l = lead_of(s.p[0]);
    if (!l || s.n < l->len || s.p[1] < l->second_min || s.p[1] > l->second_max)
        return 0;
    for (size_t i = 2; i < l->len; i++)
        if ((s.p[i] & 0xc0) != 0x80)
            return 0;
    return l->len;
}

/* Bytes at the front that are plain ASCII, eight at a time. */
static size_t ascii_run(struct slice s)
{
    size_t n = 0;

    while (s.n - n >= 8 && !(get_le64(s.p + n) & 0x8080808080808080ULL))
        n += 8;
    return n;
}

bool utf8_valid(struct slice s)
{
    while (s.n) {
        size_t n = ascii_run(s);
        if (n == 0)
            n = utf8_char_len(s);
        if (n == 0)
            return false;
        s = slice_skip(s, n);
    }
    return true;
}
