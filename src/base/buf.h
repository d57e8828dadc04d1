/*
 * buf: bytes that grow, up to a maximum named when it is made.
 *
 * Invariants: n <= cap <= max (max may be raised only by a new init); p is NULL only while cap is
 * 0. The buf owns p. Not shared between threads. Functions that grow return 0 or -ENOBUFS when the
 * result would pass max; on failure the content is unchanged.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"
#include "base/util.h"

struct buf {
    uint8_t *p;
    size_t n;
    size_t cap;
    size_t max;
};

/* Life cycle. max is in bytes and must be > 0. */
static inline void buf_init(struct buf *b, size_t max)
{
    assert(max > 0);
    *b = (struct buf){.max = max};
}
void buf_deinit(struct buf *b); /* frees; NULL and zeroed bufs are fine */
/* Forgets the content, keeps the memory. */
static inline void buf_clear(struct buf *b)
{
    b->n = 0;
}
/* Forgets the content and gives memory back when more than keep bytes are held. */
void buf_shrink(struct buf *b, size_t keep);

/* Makes room for extra more bytes after n. */
int buf_reserve(struct buf *b, size_t extra);
/* p may lie inside b. */
int buf_append(struct buf *b, const void *p, size_t n);
static inline int buf_append_slice(struct buf *b, struct slice s)
{
    return buf_append(b, s.p, s.n);
}
int buf_append_str(struct buf *b, const char *s);
int buf_append_byte(struct buf *b, uint8_t c);
/* -EINVAL too, when the format itself fails. The arguments must not lie inside b. */
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Drops the first n bytes (n <= b->n), moving the rest to the front. */
void buf_consume(struct buf *b, size_t n);
/* The content followed by a NUL that does not count in n; NULL when that passes max. */
const char *buf_cstr(struct buf *b);

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p, b->n};
}

static inline void cleanup_buf_p(struct buf *b)
{
    buf_deinit(b);
}
#define cleanup_buf __attribute__((cleanup(cleanup_buf_p)))

#endif
