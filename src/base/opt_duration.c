#include "base/opt_internal.h"

#include "base/clock.h"

#include <stdio.h>

/* Go's time.ParseDuration. Longer units before those they begin with. */
static const struct unit {
    const char *text;
    uint64_t ns;
} units[] = {
    {"ns", 1},
    {"us", NS_PER_US},
    {"\xc2\xb5s", NS_PER_US}, /* U+00B5, micro sign */
    {"\xce\xbcs", NS_PER_US}, /* U+03BC, Greek mu */
    {"ms", NS_PER_MS},
    {"s", NS_PER_S},
    {"m", 60 * NS_PER_S},
    {"h", 3600 * NS_PER_S},
};

static const struct unit *take_unit(const char **s)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t n = strlen(units[i].text);
        if (strncmp(*s, units[i].text, n) == 0) {
            *s += n;
            return &units[i];
        }
    }
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits of a whole number; false when it passes what Go's int64 of nanoseconds holds. */
static bool take_whole(const char **s, uint64_t *ret_v)
{
    uint64_t v = 0;

    for (; is_digit(**s); ++*s) {
        if (v > (INT64_MAX - 9) / 10 + 1)
            return false;
        v = v * 10 + (uint64_t)(**s - '0');
    }
    *ret_v = v;
    return true;
}

/* Digits after a point: *ret_v of *ret_scale. Those past what 64 bits hold are dropped, as Go
 * does. */
static void take_fraction(const char **s, uint64_t *ret_v, uint64_t *ret_scale)
{
    *ret_v = 0;
    *ret_scale = 1;
    for (; is_digit(**s); ++*s) {
        if (*ret_scale > INT64_MAX / 100)
            continue;
        *ret_v = *ret_v * 10 + (uint64_t)(**s - '0');
        *ret_scale *= 10;
    }
}

/* "1.5h" from *s, which moves on; 0 or -EINVAL. */
static int take_term(const char **s, uint64_t *ret_ns)
{
    uint64_t whole, fraction = 0, scale = 1, ns;
    const char *start = *s;

    if (!take_whole(s, &whole))
        return -EINVAL;
    size_t count = (size_t)(*s - start);
    if (**s == '.') {
        ++*s;
        start = *s;
        take_fraction(s, &fraction, &scale);
        count += (size_t)(*s - start);
    }
    const struct unit *u = count ? take_unit(s) : NULL;
    if (!u || __builtin_mul_overflow(whole, u->ns, &ns))
        return -EINVAL;
    ns += (uint64_t)((unsigned __int128)fraction * u->ns / scale);
    *ret_ns = ns;
    return ns > INT64_MAX ? -EINVAL : 0;
}

int opt_parse_duration(const char *s, uint64_t *ret_ns)
{
    uint64_t sum = 0;

    if (*s == '+')
        s++;
    if (strcmp(s, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    if (!*s)
        return -EINVAL;
    while (*s) {
        uint64_t term;
        int r = take_term(&s, &term);
        if (r < 0)
            return r;
        sum += term;
        if (sum > INT64_MAX)
            return -EINVAL;
    }
    *ret_ns = sum;
    return 0;
}

const char *opt_format_duration(uint64_t ns, char out[32])
{
    static const char *const order[] = {"h", "m", "s", "ms", "us", "ns"};
    static const uint64_t size[] = {3600 * NS_PER_S, 60 * NS_PER_S, NS_PER_S,
                                    NS_PER_MS,       NS_PER_US,     1};
    size_t i = 0;

    while (ns && ns % size[i])
        i++;
    if (ns == 0)
        i = 2;
    snprintf(out, 32, "%" PRIu64 "%s", ns / size[i], order[i]);
    return out;
}
