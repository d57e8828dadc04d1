#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#define BUF_FIRST_CAP 64 /* most bufs hold a header or a small message */

void buf_deinit(struct buf *b)
{
    if (!b)
        return;
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void buf_shrink(struct buf *b, size_t keep)
{
    b->n = 0;
    if (b->cap > keep)
        buf_deinit(b);
}

int buf_reserve(struct buf *b, size_t extra)
{
    assert(b->n <= b->cap);
    if (extra <= b->cap - b->n)
        return 0;
    if (extra > b->max || b->n > b->max - extra)
        return -ENOBUFS;

    size_t need = b->n + extra;
    size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
    while (cap < need)
        cap += cap / 2 + BUF_FIRST_CAP;
    if (cap > b->max)
        cap = b->max;
    uint8_t *p = realloc(b->p, cap);
    if (!p)
        return -ENOBUFS;
    b->p = p;
    b->cap = cap;
    return 0;
}

int buf_append(struct buf *b, const void *p, size_t n)
{
    /* The bytes may lie in this very buf, which growing moves. */
    uintptr_t offset = (uintptr_t)p - (uintptr_t)b->p;
    bool inside = b->p && offset < b->cap;
    int r = buf_reserve(b, n);

    if (r < 0)
        return r;
    if (n)
        memmove(b->p + b->n, inside ? b->p + offset : p, n);
    b->n += n;
    return 0;
}

int buf_append_str(struct buf *b, const char *s)
{
    return buf_append(b, s, strlen(s));
}

int buf_append_byte(struct buf *b, uint8_t c)
{
    if (b->n == b->cap) {
        int r = buf_reserve(b, 1);
        if (r < 0)
            return r;
    }
    b->p[b->n++] = c;
    return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    char small[256]; /* most lines fit and are formatted once */
    cleanup_free char *big = NULL;

    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0)
        return -EINVAL;
    if ((size_t)n < sizeof small)
        return buf_append(b, small, (size_t)n);
    if ((size_t)n > b->max - b->n)
        return -ENOBUFS;
    /* Not in place: vsnprintf's NUL needs a byte that max may not have. */
    va_start(ap, fmt);
    n = vasprintf(&big, fmt, ap);
    va_end(ap);
    return n < 0 ? -ENOBUFS : buf_append(b, big, (size_t)n);
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->n);
    if (n && n < b->n)
        memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

const char *buf_cstr(struct buf *b)
{
    if (buf_reserve(b, 1) < 0)
        return NULL;
    b->p[b->n] = 0;
    return (const char *)b->p;
}
