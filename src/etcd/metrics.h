/*
 * metrics: counters, gauges and histograms in Prometheus' text format (version 0.0.4).
 *
 * The values live where they are counted; a table of rows tells what they are called and points at
 * them:
 *
 *     const struct metric rows[] = {
 *         {"etcd_mvcc_put_total", "Total number of puts seen by this member.", METRIC_COUNTER,
 *          METRIC_U64(&s->puts)},
 *         {"etcd_disk_wal_fsync_duration_seconds", "...", METRIC_HISTOGRAM,
 *          METRIC_HIST(&s->fsync)},
 *         {"etcd_server_version", "...", METRIC_GAUGE, METRIC_ONE,
 *          METRIC_LABELS({"server_version", "3.6.14"})},
 *     };
 *     metrics_render(rows, ARRAY_LEN(rows), &out);
 *
 * Rows of one name with different labels stand next to each other. Names and labels' names are our
 * own and must be valid; help texts and labels' values are escaped. Nothing is copied: rows,
 * strings and values must live when rendered. One thread.
 */
#ifndef ETCD_METRICS_H
#define ETCD_METRICS_H

#include "base/buf.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* --- histograms --- */

#define HISTOGRAM_BUCKETS_MAX 24 /* the most upstream uses (lease times) */

/* Upper bounds of the buckets, ascending; one more without bound follows. */
struct histogram_bounds {
    size_t n;
    double le[HISTOGRAM_BUCKETS_MAX];
};
/* Upstream's. Each doubles from bucket to bucket but histogram_rpc. */
extern const struct histogram_bounds histogram_apply;      /* 0.1 ms to 52 s: apply, range */
extern const struct histogram_bounds histogram_disk;       /* 1 ms to 8 s: fsync, commit */
extern const struct histogram_bounds histogram_hash;       /* 10 ms to 164 s */
extern const struct histogram_bounds histogram_snapshot;   /* 10 ms to 655 s */
extern const struct histogram_bounds histogram_defrag;     /* 0.1 s to 410 s */
extern const struct histogram_bounds histogram_lease_ttl;  /* 1 s to 97 days */
extern const struct histogram_bounds histogram_compact_ms; /* 100 ms to 819 s, in ms */
extern const struct histogram_bounds histogram_pause_ms;   /* 1 ms to 4 s, in ms */
extern const struct histogram_bounds histogram_rpc;        /* 5 ms to 10 s, Prometheus' default */

struct histogram {
    const struct histogram_bounds *bounds;
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1]; /* not summed up; [bounds->n]: above all bounds */
    double sum;
};
void histogram_init(struct histogram *h, const struct histogram_bounds *bounds);
/* value in the unit of the bounds, seconds where nothing else is said. */
void histogram_observe(struct histogram *h, double value);
void histogram_observe_ns(struct histogram *h, uint64_t ns); /* for bounds in seconds */
uint64_t histogram_count(const struct histogram *h);

/* --- rows --- */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_value {
    enum {
        METRIC_KIND_ONE, /* 1, for rows whose labels say it all */
        METRIC_KIND_U64,
        METRIC_KIND_I64,
        METRIC_KIND_F64,
        METRIC_KIND_BOOL,
        METRIC_KIND_CALL,
        METRIC_KIND_HIST,
    } kind;
    const void *at; /* for CALL: its ctx */
    double (*call)(const void *ctx);
};
#define METRIC_ONE                                                                                 \
    {                                                                                              \
        .kind = METRIC_KIND_ONE                                                                    \
    }
/* Each checks the pointer's type. */
#define METRIC_AT_(kind_, type, p)                                                                 \
    {                                                                                              \
        .kind = (kind_), .at = (1 ? (p) : (const type *)NULL)                                      \
    }
#define METRIC_U64(p)  METRIC_AT_(METRIC_KIND_U64, uint64_t, p)
#define METRIC_I64(p)  METRIC_AT_(METRIC_KIND_I64, int64_t, p)
#define METRIC_F64(p)  METRIC_AT_(METRIC_KIND_F64, double, p)
#define METRIC_BOOL(p) METRIC_AT_(METRIC_KIND_BOOL, bool, p)
#define METRIC_HIST(p) METRIC_AT_(METRIC_KIND_HIST, struct histogram, p)
#define METRIC_CALL(fn, ctx)                                                                       \
    {                                                                                              \
        .kind = METRIC_KIND_CALL, .call = (fn), .at = (ctx)                                        \
    }

struct metric_label {
    const char *name;
    const char *value;
};
#define METRIC_LABELS_MAX 4 /* upstream's rows have at most four */
#define METRIC_LABELS(...)                                                                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

struct metric {
    const char *name;
    const char *help;
    enum metric_type type;
    struct metric_value value;
    struct metric_label labels[METRIC_LABELS_MAX]; /* those with a name */
};

/* Appends all rows. 0, or -ENOBUFS and out is unchanged. */
int metrics_render(const struct metric *rows, size_t n, struct buf *out);

#endif
