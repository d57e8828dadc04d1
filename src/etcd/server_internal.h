/* The member's inside, shared by server*.c only. */
#ifndef ETCD_SERVER_INTERNAL_H
#define ETCD_SERVER_INTERNAL_H

#include "etcd/alarm.h"
#include "etcd/apply.h"
#include "etcd/autocompact.h"
#include "etcd/conf.h"
#include "etcd/log_writer.h"
#include "etcd/metrics.h"
#include "etcd/server.h"
#include "io/server.h"

#define CHECKPOINT_CHANGES                                                                         \
    2000 /* table changes after which the store is committed: bounds the memory of dirty pages     \
            (about two pages each) and the length of one commit */
#define CHECKPOINT_BYTES     (8ULL << 20) /* or after that many bytes of keys and values */
#define CHECKPOINT_BYTES_MAX (16ULL << 20)
#define CHECKPOINT_CHANGES_MAX                                                                     \
    12000 /* past it new log batches wait for the checkpoint under way: a slow disk */
#define CHECKPOINT_IDLE_NS (500 * NS_PER_MS) /* and at the latest this long after a change */
#define LOG_BYTES_KEPT     (32ULL << 20) /* log written since the last cut: a start reads this much */
#define SPACE_HEADROOM                                                                             \
    (16ULL * 1024 * 1024)          /* kept reserved on disk for the store beyond what is accepted */
#define UNAPPLIED_MAX         5000 /* upstream: beyond it "too many requests" */
#define UNCOMMITTED_BYTES_MAX (64u * 1024 * 1024)
#define APPLY_ARENA_BYTES                                                                          \
    (8ULL << 30) /* in effect none: a delete of everything must apply whole                        \
                  */
#define LONG_JOBS_MAX                                                                              \
    2 /* hashes, copies and checks at a time: half of libuv's four threads stay free for the       \
         checkpoint and the log's spare segment, which writes wait for */
#define TICK_MS                100
#define LEASE_SCAN_NS          (500 * NS_PER_MS) /* upstream's */
#define LEASE_REVOKES_PER_SCAN 500               /* 1000 a second, upstream's */
#define LEASE_CHECKPOINT_NS    (1 * NS_PER_S)
#define LEASE_CHECKPOINT_BATCH 1000 /* leases in one log entry */

struct proposal {
    struct list link; /* in server.pending, by index */
    uint64_t index, term;
    proposal_done *done; /* NULL: abandoned */
    void *ctx;
};

/* A frame and what the log writer is to do with it. */
struct batch {
    struct list link;
    struct log_job job;
    struct buf frame;
    uint64_t last_index, last_term;
    size_t written_bytes; /* of its entries, as counted when they were proposed */
};

struct server {
    const struct etcd_conf *conf;
    uv_loop_t *loop;
    struct io_server *io;
    struct rng rng;
    uint64_t cluster_id, member_id;

    struct raft *raft;
    struct wal *wal;
    struct log_writer *writer;
    struct list gathered; /* batches to write, oldest first */
    struct list spare_batches;
    struct batch *writing;
    struct raft_hard_state hard_state; /* newest given out by raft */
    bool hard_state_dirty;             /* not yet in a frame */
    uint64_t unwritten_bytes;          /* proposed, not yet in the log: held against wal_room */
    bool spare_running;
    bool waits_for_spare; /* the next batch needs a new segment */
    bool spare_failed;    /* the last try to make one: no space */
    struct list pending;  /* proposals by index */
    struct list free_proposals;
    struct buf propose_buf;

    struct db *db;
    struct mvcc *mvcc;
    struct lease_set *leases;
    struct alarm_set alarms;
    struct watch_hub *watches;
    struct arena apply_arena;
    Steadpb__MemberAttributes *member;

    uint64_t checkpoint_at_ns;    /* when the last one began */
    uint64_t checkpoint_applied;  /* applied index it holds */
    uint64_t checkpoint_begin_ns; /* its sync */
    uint64_t durable_applied;     /* applied index of the last finished one */
    uint64_t cut_index, cut_term; /* the log may be cut here at the next snapshot mark */
    uint64_t cut_log_bytes;       /* stats.wal_bytes when that was chosen */
    uint64_t marked_index;        /* snapshot mark last put in the log */
    uint64_t checkpoint_term;
    uv_sem_t checkpoint_synced; /* posted when a sync has finished, taken by who ends it */
    int checkpoint_result;
    struct err checkpoint_err;

    uv_timer_t tick;
    uv_idle_t feed; /* runs while watchers that are behind can be fed: keeps the loop turning */
    bool feeding;
    uint64_t lease_scan_at_ns, lease_checkpoint_at_ns, compact_at_ns, check_at_ns;
    struct autocompact autocompact;
    struct list compact_waits;
    bool quota_alarm_proposed;
    bool disk_full_logged;
    bool checking;
    size_t views;
    bool stopping;
    size_t offloads; /* in worker threads or waiting for one */
    size_t long_jobs;
    struct list waiting_jobs; /* struct offload: long ones beyond LONG_JOBS_MAX */

    uint64_t started_wall_ns;
    struct server_stats stats;
    struct histogram fsync_seconds, commit_seconds, apply_seconds;
};

/* server_write.c */
void server_write_init(struct server *s);
void server_write_free(struct server *s);
void server_log_done(void *server, struct log_job *job);
void server_fail_pending(struct server *s); /* their askers hear ERR_STOPPED */
int server_catch_up(struct server *s,
                    struct err *e); /* at start: until everything in the log is applied */
/* server_store.c */
/* A slow disk: too much has changed while a checkpoint is being synced. */
bool server_store_lags(const struct server *s);
void server_checkpoint_maybe(struct server *s, uint64_t now_ns);
/* The same between the entries of a large batch, which must not gather dirty pages without bound:
 * waits for the disk when it lags. */
void server_checkpoint_within(struct server *s);
void server_spare_maybe(struct server *s);
void server_compact_step(struct server *s, uint64_t now_ns);
void server_check_maybe(struct server *s, uint64_t now_ns);
/* server_tick.c */
void server_tick_start(struct server *s);
void server_tick_stop(struct server *s);
void server_feed(struct server *s); /* watchers that are behind, now and as long as it takes */
/* Says what happened and ends the process: after damage or a failed disk the only right state is
 * the one a new start finds. */
_Noreturn void server_die(const char *what, const char *detail);

#endif
