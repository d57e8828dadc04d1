/*
 * slice: a view of bytes somebody else owns. It never frees and is valid as long as its owner says.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *p;
    size_t n;
};

#define SLICE_EMPTY ((struct slice){NULL, 0})
/* A view of a string literal, without its NUL. */
#define SLICE_LIT(s) ((struct slice){(const uint8_t *)(s), sizeof(s) - 1})

static inline struct slice slice_of(const void *p, size_t n)
{
    return (struct slice){p, n};
}
/* A view of a C string, without its NUL; NULL gives an empty slice. */
static inline struct slice slice_str(const char *s)
{
    return (struct slice){(const uint8_t *)s, s ? strlen(s) : 0};
}
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool slice_eq_str(struct slice a, const char *s)
{
    return slice_eq(a, slice_str(s));
}
/* Bytewise order, shorter first on a tie: <0, 0, >0. */
static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    if (c)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}
static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
/* s without its first n bytes; n must not exceed s.n. */
static inline struct slice slice_skip(struct slice s, size_t n)
{
    assert(n <= s.n);
    /* An empty slice may hold NULL, and NULL + 0 is not defined in C. */
    return n ? (struct slice){s.p + n, s.n - n} : s;
}

#endif
