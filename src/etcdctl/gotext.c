#include "etcdctl/gotext.h"

#include "base/clock.h"
#include "base/hex.h"
#include "etcdctl/goquote.h"

#include <math.h>

/* v / unit with as many of the unit's fraction digits as are not zero. */
static int fraction(char *out, size_t n, uint64_t v, uint64_t unit, const char *suffix)
{
    char digits[24];
    int len = 0;

    for (uint64_t u = unit, rest = v % unit; rest > 0; rest %= u) {
        u /= 10;
        digits[len++] = (char)('0' + rest / u);
    }
    return snprintf(out, n, "%" PRIu64 "%s%.*s%s", v / unit, len ? "." : "", len, digits, suffix);
}

char *go_duration(uint64_t ns, char out[GOTEXT_MAX])
{
    uint64_t minutes = ns / (60 * NS_PER_S);
    int at = 0;

    if (ns == 0)
        snprintf(out, GOTEXT_MAX, "0s");
    else if (ns < NS_PER_US)
        snprintf(out, GOTEXT_MAX, "%" PRIu64 "ns", ns);
    else if (ns < NS_PER_MS)
        fraction(out, GOTEXT_MAX, ns, NS_PER_US, "µs");
    else if (ns < NS_PER_S)
        fraction(out, GOTEXT_MAX, ns, NS_PER_MS, "ms");
    else {
        if (minutes >= 60)
            at = snprintf(out, GOTEXT_MAX, "%" PRIu64 "h", minutes / 60);
        if (minutes > 0)
            at += snprintf(out + at, GOTEXT_MAX - (size_t)at, "%" PRIu64 "m", minutes % 60);
        fraction(out + at, GOTEXT_MAX - (size_t)at, ns % (60 * NS_PER_S), NS_PER_S, "s");
    }
    return out;
}

char *go_bytes(uint64_t n, char out[GOTEXT_MAX])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    size_t unit = 0;
    double v = (double)n;

    while (v >= 1000 && unit + 1 < ARRAY_LEN(units)) {
        v /= 1000;
        unit++;
    }
    v = floor(v * 10 + 0.5) / 10;
    snprintf(out, GOTEXT_MAX, n >= 10 && v < 10 ? "%.1f %s" : "%.0f %s", v, units[unit]);
    return out;
}

static int parse_error(const char *func, const char *s, const char *why, struct err *e)
{
    cleanup_buf struct buf quoted;

    buf_init(&quoted, ERR_MSG_MAX);
    if (go_quote(&quoted, slice_str(s)) < 0 || !buf_cstr(&quoted))
        return err_set(e, ERR_USAGE, "strconv.%s: %s", func, why);
    return err_set(e, ERR_USAGE, "strconv.%s: parsing %s: %s", func, buf_cstr(&quoted), why);
}

/* Digits only. 0, -EINVAL or -ERANGE. */
static int parse_digits(const char *s, unsigned base, uint64_t *ret)
{
    uint64_t v = 0;

    if (!*s)
        return -EINVAL;
    for (; *s; s++) {
        int d = hex_digit((uint8_t)*s);
        if (d < 0 || (unsigned)d >= base)
            return -EINVAL;
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (unsigned)d, &v))
            return -ERANGE;
    }
    *ret = v;
    return 0;
}

static const char *reason(int r)
{
    return r == -ERANGE ? "value out of range" : "invalid syntax";
}

int go_parse_uint(const char *s, unsigned base, uint64_t *ret, struct err *e)
{
    int r = parse_digits(s, base, ret);

    return r < 0 ? parse_error("ParseUint", s, reason(r), e) : 0;
}

int go_parse_int(const char *s, unsigned base, int64_t *ret, struct err *e)
{
    bool negative = s[0] == '-';
    uint64_t v = 0;
    int r = parse_digits(s + (negative || s[0] == '+'), base, &v);

    if (r == 0 && v > (uint64_t)INT64_MAX + negative)
        r = -ERANGE;
    if (r < 0)
        return parse_error("ParseInt", s, reason(r), e);
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return 0;
}
