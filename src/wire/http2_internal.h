/*
 * http2_internal: the structs behind http2.h, for http2*.c only.
 */
#ifndef WIRE_HTTP2_INTERNAL_H
#define WIRE_HTTP2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "wire/http2.h"
#include "wire/http2_guard.h"

/* For arrays on the stack that are written before they are read: the build zeroes locals, and here
 * that would be kilobytes for every request. */
#define UNZEROED __attribute__((uninitialized))

struct http2_stream {
    struct http2 *h;
    struct list node; /* in http2.streams */
    void *user;
    int32_t id;
    bool announced;     /* the user knows the stream: on_headers was called, or it opened it */
    bool got_headers;   /* the first final header block has come */
    bool remote_ended;  /* the peer sends no more */
    bool answered;      /* we sent headers: respond or request */
    bool ended;         /* we said the end */
    bool deferred;      /* nghttp2 waits for http2_session_resume_data */
    bool reset;         /* by us */
    bool reset_counted; /* against the peer's allowance */
    bool was_high;      /* queued passed HTTP2_LOW_WATER; on_writable is owed */
    bool bulk;          /* takes turns with other streams */
    struct buf queue;   /* body bytes not yet sent, from head on */
    size_t head;
    size_t usual;         /* what the queue held lately at most, halved each time it held less */
    nghttp2_nv *trailers; /* one allocation with its strings */
    size_t ntrailers;
};

/* A header block as it comes in: fields as lengths, their bytes in a row. Blocks of different
 * streams never interleave, so one is enough. */
struct header_block {
    struct {
        uint32_t name_n, value_n;
    } fields[LIMIT_HEADER_COUNT];
    size_t n;
    bool too_large;
    struct buf bytes;
};

struct http2 {
    nghttp2_session *ng;
    struct http2_conf conf;
    const struct http2_ops *ops;
    struct list streams;
    size_t nstreams;
    size_t queued; /* bytes in all streams */
    struct buf out;
    struct header_block block;
    uint64_t now_ns; /* as last told */
    struct rate resets, control;
    struct ping_police police;
    struct keepalive keepalive;
    bool terminated; /* nothing more goes through nghttp2 */
    bool goaway;     /* said or heard: no new streams */
    bool dirty;      /* the hook was called since the last flush */
    void (*hook)(void *ctx);
    void *hook_ctx;
};

/* http2_stream.c, for http2.c. */
struct http2_stream *http2_stream_add(struct http2 *h, int32_t id);
/* Tells the user and frees. */
void http2_stream_gone(struct http2_stream *s, uint32_t error);
/* nghttp2's callback that writes a DATA frame into the output. */
int http2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd,
                    size_t length, nghttp2_data_source *source, void *user);
/* There is something to flush. */
void http2_touch(struct http2 *h);

#endif
