/*
 * watch_stream: one Watch call and its watchers, as the service drives it. Requests come in here;
 * answers go to the call, in the order upstream gives: created before the first event, canceled
 * after the last.
 *
 * A stream owns its watchers. Whenever an answer cannot be given (it passes LIMIT_RESPONSE_BYTES,
 * history is damaged) the hub frees the stream and finishes the call; grpc then tells the service
 * nothing more about it.
 */
#ifndef ETCD_WATCH_STREAM_H
#define ETCD_WATCH_STREAM_H

#include "etcd/watch_hub.h"

struct watch_stream;

struct watch_stream *watch_stream_new(struct watch_hub *h, struct grpc_call *c);
/* The call is gone: its watchers go too. NULL is fine. */
void watch_stream_free(struct watch_stream *s);

enum watch_flag {
    WATCH_NO_PUT = 1 << 0,
    WATCH_NO_DELETE = 1 << 1,
    WATCH_PREV_KV = 1 << 2,
    WATCH_FRAGMENT = 1 << 3,
    WATCH_NOTIFY = 1 << 4, /* progress_notify */
};
struct watch_create {
    struct slice key, end; /* as on the wire: empty key is "\0" */
    int64_t start_rev;     /* 0: from the next write on */
    int64_t id;            /* 0: the stream numbers */
    unsigned flags;        /* enum watch_flag */
};
/* All answer by themselves; the stream may be gone afterwards. */
void watch_stream_create(struct watch_stream *s, const struct watch_create *q);
void watch_stream_cancel(struct watch_stream *s, int64_t id);
void watch_stream_progress(struct watch_stream *s);
void watch_stream_writable(struct watch_stream *s);

#endif
