/*
 * watch_hub: brings events to watchers. Sits between the applied writes (watch_hub_publish) and the
 * streams.
 *
 * Writes are applied in batches. Publishing only gathers; the flush at the end of a batch gives
 * each watcher one message with all its events of the batch. Whoever could notice an order between
 * events and something else (a new watcher, a cancel, progress, a compaction) gets a flush first.
 *
 * A watcher is synced (gets events as they are flushed) or behind (wants revisions older than the
 * newest): it then holds only the next revision it needs, and is fed from history in steps of
 * bounded size when its stream has room. A stream whose queue passes WATCH_QUEUE_MAX turns its
 * watchers to behind. So a slow reader costs no memory beyond its queue, loses nothing, and holds
 * up nobody. Events are encoded once and shared by all watchers that get the same ones.
 *
 * One thread (the loop's).
 */
#ifndef ETCD_WATCH_HUB_H
#define ETCD_WATCH_HUB_H

#include "etcd/mvcc.h"
#include "etcd/watch.h"
#include "wire/grpc.h"

#define WATCH_QUEUE_MAX                                                                            \
    (1024u * 1024)                /* answer bytes queued on a stream before it counts as slow */
#define WATCH_CATCHUP_REVS   1000 /* revisions in one catch-up message, as upstream */
#define WATCH_CATCHUP_BYTES  (1024u * 1024) /* and about this many bytes */
#define WATCH_PER_STREAM_MAX 100000 /* watchers on one stream: a bound for hostile clients */

struct server;
struct watch_hub;

struct watch_hub_conf {
    struct server
        *server; /* for headers; may be NULL in tests: headers then carry the revision only */
    struct mvcc *mvcc;
    uint64_t progress_interval_ns; /* --watch-progress-notify-interval */
    size_t fragment_bytes;         /* messages of fragmenting watchers stay below this */
    uint64_t seed[2];
};
struct watch_hub *watch_hub_new(const struct watch_hub_conf *c);
void watch_hub_free(struct watch_hub *h);

/* The events of one write, in order, all of revision rev. Called right after the apply. They are
 * encoded here for those that watch them (ev may go afterwards) and wait for the flush; local
 * watchers are told at once. */
void watch_hub_publish(struct watch_hub *h, const struct mvcc_event *ev, size_t n, int64_t rev);
/* Sends what was published since the last flush: to each watcher one message, its header with the
 * revision of the last event in it. Comes by itself when much has been gathered. */
void watch_hub_flush(struct watch_hub *h);
/* Feeds some watchers that are behind and sends due progress notices. True when there is more to
 * feed at once: call again after other work (the loop keeps turning); else call when a stream
 * drains, or by timer each 100 ms. */
bool watch_hub_step(struct watch_hub *h, uint64_t now_ns);
/* Whether step has something to feed at once (a watcher was made with a start in the past, a stream
 * drained): for the loop to ask once a turn. */
bool watch_hub_busy(const struct watch_hub *h);
/* Revisions below were compacted: watchers that still need them are canceled with compact_revision.
 */
void watch_hub_compacted(struct watch_hub *h, int64_t compact_rev);

/* The Watch service's method table (path NULL ends it). Its app is struct server. */
extern const struct grpc_method watch_methods[];

/* A watcher inside the server (lock, election): on_event for each event from now on, in order, from
 * within watch_hub_publish. It may read the store and add and remove local watchers, itself too;
 * one added meanwhile gets nothing of the write being published. */
struct watch_local {
    struct watch_key key;
    void (*on_event)(struct watch_local *w, const struct mvcc_event *ev);
};
void watch_hub_add_local(struct watch_hub *h, struct watch_local *w);
void watch_hub_remove_local(struct watch_hub *h, struct watch_local *w);

struct watch_hub_stats {
    uint64_t watchers, streams;
    uint64_t slow_watchers;  /* behind */
    uint64_t pending_events; /* published and not flushed, counted per watcher */
    uint64_t events;         /* delivered, counted per watcher */
};
void watch_hub_stats(const struct watch_hub *h, struct watch_hub_stats *ret);

#endif
