/*
 * watch_hub_impl: what the hub's own files share; nobody else includes it.
 *
 *   watch_hub.c     life cycle, moves between synced and behind, sending
 *   watch_publish.c events of writes: gathering and flushing
 *   watch_stream.c  requests of a stream
 *   watch_feed.c    watchers that are behind, progress notices
 *   watch_wire.c    encodings
 *
 * Life of a watcher:
 *
 *   create --start <= now--> BEHIND --caught up--> SYNCED --slow stream, event--> BEHIND ...
 *          --else----------> SYNCED
 *
 * Only synced watchers stand in the index. A synced watcher of a slow stream stays synced until an
 * event for it comes up; idle ones cost a slow stream nothing.
 */
#ifndef ETCD_WATCH_HUB_IMPL_H
#define ETCD_WATCH_HUB_IMPL_H

#include "base/map.h"
#include "base/rng.h"
#include "etcd/watch_stream.h"
#include "etcd/watch_wire.h"

/* Records of history looked at in one step, so that a step stays below about 10 ms. */
#define WATCH_STEP_RECORDS 10000
/* What looking after one watcher costs beside its records, in records. */
#define WATCH_STEP_PER_WATCHER 10
/* Records looked at on creation: most clients ask for a little history and get it without a turn's
 * delay. */
#define WATCH_CREATE_RECORDS 500
/* Bytes of answers made in one step. */
#define WATCH_STEP_BYTES (4u * 1024 * 1024)
/* (watcher, event) pairs gathered, 8 bytes each: a flush follows the write that passes this many.
 * What is kept between flushes anyway. */
#define WATCH_GATHER_HITS (128u * 1024)
/* Pairs of one write beside. A write with more (a range delete under many watchers) leaves the
 * watchers that do not fit behind; the feed serves them one by one. */
#define WATCH_HITS_MAX (1024u * 1024)
/* Events gathered, encoded bytes: a flush comes before the write that would pass it, so a message
 * holds about this much or one write. */
#define WATCH_GATHER_BYTES WATCH_CATCHUP_BYTES
/* What an event takes beside key and value, about. */
#define WATCH_EVENT_OVERHEAD 64
/* Keys of one stream's watchers: a bound for hostile clients. */
#define WATCH_STREAM_KEY_BYTES (64u * 1024 * 1024)
/* Scratch memory kept between publishes. */
#define WATCH_SCRATCH_KEEP (1024u * 1024)

/* The hub's own flags, beside enum watch_flag. */
enum {
    WATCHER_NOTIFY_DUE = 1 << 5, /* no event since the last progress tick */
    WATCHER_FUTURE = 1 << 6,     /* start_rev above the store's: no progress before it is reached */
    WATCHER_BEHIND = 1 << 7,
};

struct watcher {
    struct watch_key key; /* views of bytes[] */
    struct list link;     /* stream's synced or behind */
    /* These two are the key in hub->ids, in this order and without a gap. */
    struct watch_stream *stream;
    int64_t id;
    int64_t next_rev; /* smallest revision not yet delivered */
    uint32_t touch;   /* 1 + place in hub->touched until the flush; 0: not there */
    uint32_t flags;
    uint8_t bytes[];
};
static_assert(sizeof(struct watcher) < 200, "10,000 idle watchers are cheap");

struct watch_stream {
    struct watch_hub *hub;
    struct grpc_call *call;
    struct list synced, behind;
    struct list feed_link;   /* hub->feed or hub->blocked while behind is not empty */
    struct list notify_link; /* hub->notify while nnotify > 0 */
    uint64_t notify_at_ns;
    int64_t next_id;
    uint32_t count, nnotify, nfuture;
    size_t key_bytes;
    bool blocked; /* queue passed WATCH_QUEUE_MAX; on_writable clears it */
};

struct watch_span {
    size_t at, n; /* in the buffer it is said to be of */
};
/* An event that somebody waits for. */
struct watch_gathered {
    int64_t rev;
    struct watch_span plain, full; /* in the buffers of these names; empty: not asked for */
};
struct watch_hit {
    uint32_t event; /* in hub->gathered */
    uint32_t next;  /* 1 + index in hub->hits; 0: last */
};
struct watch_touched {
    struct watcher *w;    /* NULL: went away meanwhile */
    uint32_t first, last; /* 1 + index in hub->hits; 0: none */
    int64_t behind_rev;   /* what it waits for did not fit from this revision on; 0: all fit */
};
struct watch_local_hit {
    struct watch_local *w; /* NULL: removed meanwhile */
    uint32_t event;
};

/* A small vector kept and reused. */
#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *v;                                                                                   \
        size_t n, cap;                                                                             \
    }
#define vec_push(vec)                                                                              \
    ({                                                                                             \
        if ((vec)->n == (vec)->cap) {                                                              \
            (vec)->cap = (vec)->cap ? (vec)->cap * 2 : 16;                                         \
            (vec)->v = xrealloc((vec)->v, (vec)->cap * sizeof *(vec)->v);                          \
        }                                                                                          \
        &(vec)->v[(vec)->n++];                                                                     \
    })
#define vec_shrink(vec)                                                                            \
    do {                                                                                           \
        (vec)->n = 0;                                                                              \
        if ((vec)->cap * sizeof *(vec)->v > WATCH_SCRATCH_KEEP) {                                  \
            free((vec)->v);                                                                        \
            (vec)->v = NULL;                                                                       \
            (vec)->cap = 0;                                                                        \
        }                                                                                          \
    } while (0)

struct watch_hub {
    struct watch_hub_conf conf;
    struct watch_index *index;       /* synced watchers of streams */
    struct watch_index *local_index; /* watch_local */
    struct map ids;                  /* (stream, id) -> watcher */
    struct list feed, blocked;       /* streams with watchers behind */
    struct list notify;              /* streams with progress_notify watchers */
    uint64_t notify_next_ns;         /* no stream of notify is due before */
    uint64_t now_ns;                 /* as of the last step */
    struct rng rng;                  /* jitter */
    bool publishing;
    struct watch_stream *asking; /* a flush runs for its request; NULL once it is gone */

    /* Since the last flush; reused. */
    VEC(struct watch_gathered) gathered;
    VEC(struct watch_hit) hits;
    VEC(struct watch_touched) touched;
    struct buf plain, full; /* encodings without and with prev_kv */
    /* Of the revision being published; reused. */
    VEC(struct watch_local_hit) local_hits;
    /* Of a message being sent; reused. */
    VEC(struct slice) parts;
    /* Of a watcher being fed; reused. */
    struct buf feed_buf;
    VEC(struct watch_span) feed_at;

    uint64_t nstreams, nwatchers, nbehind, events;
};

/* watch_hub.c */

/* Sends one message to w: the events in parts[1..n], or several when it asked for fragments. n may
 * be 0. parts[0] is the head's place. False: the call failed and the stream is gone. */
bool watch_deliver(struct watcher *w, const struct watch_wire_header *header, struct slice *parts,
                   size_t n);
/* One message without events: an answer to a request, or progress. */
void watch_send_head(struct watch_stream *s, int64_t header_rev, struct watch_wire_head *head);
void watch_header(const struct watch_hub *h, int64_t rev, struct watch_wire_header *ret);
void watcher_set_behind(struct watcher *w, int64_t next_rev);
void watcher_set_synced(struct watcher *w, int64_t next_rev);
void watcher_free(struct watcher *w);
/* Whether w got all its events up to rev, the store's newest, so that progress may be promised. As
 * upstream, not before an explicit start in the future is reached. */
bool watcher_reached(struct watcher *w, int64_t rev);
bool watcher_wants(const struct watcher *w, const struct mvcc_event *ev);
bool watch_stream_slow(const struct watch_stream *s);
/* The reader does not keep up: no feeding until on_writable. */
void watch_stream_block(struct watch_stream *s);
/* The call ends with a code; the stream is gone. */
void watch_stream_fail(struct watch_stream *s, int code);

/* watch_feed.c */

/* Appends ev with the pair before it, if there was one. 0, -ENOBUFS, or mvcc's failure. */
int watch_event_put_prev(struct mvcc *m, struct buf *out, const struct mvcc_event *ev);

struct watch_budget {
    size_t records, bytes;
};
/* Gives w its next message from history, within the budget. The watcher or its stream may be gone
 * afterwards. w is behind. */
void watcher_feed(struct watcher *w, struct watch_budget *budget);
void watch_notify_start(struct watch_stream *s);

#endif
