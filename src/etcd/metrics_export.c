#include "etcd/metrics_export.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>

#include "etcd/alarm.h"
#include "etcd/conf.h"
#include "etcd/metrics.h"
#include "etcd/server.h"

#define ROWS_MAX 96

/* Everything the rows point at, taken at one moment. */
struct values {
    struct server_stats server;
    struct mvcc_stats mvcc;
    struct watch_hub_stats watch;
    struct raft_status raft;
    bool has_leader, is_leader, is_learner;
    uint64_t zero, quota, db_size, db_in_use, rss_bytes, open_fds, fd_limit;
    uint64_t health_successes, health_failures, received, sent, leases;
    int64_t revision, compact_revision;
    double cpu_seconds, start_seconds;
    char server_id[24];
};

/* Resident pages: the second field of /proc/self/statm. */
static uint64_t read_rss(void)
{
    unsigned long long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return 0;
    if (fscanf(f, "%llu %llu", &total, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory's own */
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void take_values(struct server *s, const struct grpc_methods *methods, struct values *v)
{
    struct rlimit fds = {0};

    server_stats(s, &v->server);
    mvcc_stats(server_mvcc(s), &v->mvcc);
    watch_hub_stats(server_watches(s), &v->watch);
    server_raft_status(s, &v->raft);
    v->has_leader = v->raft.leader != 0;
    v->is_leader = v->raft.leader == v->raft.id;
    v->quota = server_quota_bytes(s);
    v->db_size = server_store_bytes(s);
    v->db_in_use = db_size_in_use(server_db(s));
    v->revision = mvcc_revision(server_mvcc(s));
    v->compact_revision = mvcc_compact_revision(server_mvcc(s));
    v->leases = lease_count(server_leases(s));
    v->rss_bytes = read_rss();
    v->open_fds = count_fds();
    getrlimit(RLIMIT_NOFILE, &fds);
    v->fd_limit = (uint64_t)fds.rlim_cur;
    v->cpu_seconds = cpu_seconds();
    v->start_seconds = server_start_seconds(s);
    if (methods) {
        v->received = grpc_methods_bytes_received(methods);
        v->sent = grpc_methods_bytes_sent(methods);
    }
    snprintf(v->server_id, sizeof v->server_id, "%" PRIx64, server_member_id(s));
}

#define COUNT(name, help, field)                                                                   \
    {                                                                                              \
        (name), (help), METRIC_COUNTER, METRIC_U64(&v->field)                                      \
    }
#define GAUGE(name, help, field)                                                                   \
    {                                                                                              \
        (name), (help), METRIC_GAUGE, METRIC_U64(&v->field)                                        \
    }
#define FLAG(name, help, field)                                                                    \
    {                                                                                              \
        (name), (help), METRIC_GAUGE, METRIC_BOOL(&v->field)                                       \
    }
#define HIST(name, help, h)                                                                        \
    {                                                                                              \
        (name), (help), METRIC_HISTOGRAM, METRIC_HIST(h)                                           \
    }

static int render_member(struct server *s, const struct values *v, struct buf *out)
{
    const struct metric rows[] = {
        FLAG("etcd_server_has_leader", "Whether or not a leader exists.", has_leader),
        FLAG("etcd_server_is_leader", "Whether or not this member is a leader.", is_leader),
        FLAG("etcd_server_is_learner", "Whether or not this member is a learner.", is_learner),
        COUNT("etcd_server_leader_changes_seen_total", "The number of leader changes seen.",
              server.leader_changes),
        GAUGE("etcd_server_proposals_committed_total",
              "The total number of consensus proposals committed.", server.proposals_committed),
        GAUGE("etcd_server_proposals_applied_total",
              "The total number of consensus proposals applied.", server.proposals_applied),
        GAUGE("etcd_server_proposals_pending", "The current number of pending proposals to commit.",
              server.proposals_pending),
        COUNT("etcd_server_proposals_failed_total", "The total number of failed proposals seen.",
              server.proposals_failed),
        COUNT("etcd_server_heartbeat_send_failures_total",
              "The total number of leader heartbeat send failures.", zero),
        COUNT("etcd_server_slow_apply_total", "The total number of slow apply requests.",
              server.slow_applies),
        COUNT("etcd_server_slow_read_indexes_total",
              "The total number of pending read indexes not in sync with leader's or timed out.",
              zero),
        COUNT("etcd_server_read_indexes_failed_total",
              "The total number of failed read indexes seen.", zero),
        GAUGE("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.",
              quota),
        COUNT("etcd_server_health_success", "The total number of successful health checks",
              health_successes),
        COUNT("etcd_server_health_failures", "The total number of failed health checks",
              health_failures),
        {"etcd_server_id", "Server or member ID in hexadecimal format.", METRIC_GAUGE, METRIC_ONE,
         METRIC_LABELS({"server_id", v->server_id})},
        {"etcd_server_version", "Which version is running.", METRIC_GAUGE, METRIC_ONE,
         METRIC_LABELS({"server_version", ETCD_VERSION})},
        {"etcd_cluster_version", "Which version is running.", METRIC_GAUGE, METRIC_ONE,
         METRIC_LABELS({"cluster_version", "3.6"})},
        {"stead_version", "Which stead this is.", METRIC_GAUGE, METRIC_ONE,
         METRIC_LABELS({"version", STEAD_VERSION})},
        HIST("etcd_disk_wal_fsync_duration_seconds",
             "The latency distributions of fsync called by WAL.", server_fsync_histogram(s)),
        GAUGE("etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.",
              server.wal_bytes),
        HIST("etcd_disk_backend_commit_duration_seconds",
             "The latency distributions of commit called by backend.", server_commit_histogram(s)),
        HIST("etcd_server_apply_duration_seconds", "The latency distributions of applying a batch.",
             server_apply_histogram(s)),
    };

    return metrics_render(rows, ARRAY_LEN(rows), out);
}

static int render_store(const struct values *v, struct buf *out)
{
    const struct metric rows[] = {
        GAUGE("etcd_mvcc_db_total_size_in_bytes",
              "Total size of the underlying database physically allocated in bytes.", db_size),
        GAUGE("etcd_mvcc_db_total_size_in_use_in_bytes",
              "Total size of the underlying database logically in use in bytes.", db_in_use),
        GAUGE("etcd_mvcc_db_open_read_transactions",
              "The number of currently open read transactions", server.views),
        COUNT("etcd_mvcc_put_total", "Total number of puts seen by this member.", mvcc.puts),
        COUNT("etcd_mvcc_delete_total", "Total number of deletes seen by this member.",
              mvcc.deletes),
        COUNT("etcd_mvcc_range_total", "Total number of ranges seen by this member.", mvcc.ranges),
        COUNT("etcd_mvcc_txn_total", "Total number of txns seen by this member.", mvcc.txns),
        GAUGE("etcd_debugging_mvcc_keys_total", "Total number of keys.", mvcc.keys),
        {"etcd_debugging_mvcc_current_revision", "The current revision of store.", METRIC_GAUGE,
         METRIC_I64(&v->revision)},
        {"etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store.",
         METRIC_GAUGE, METRIC_I64(&v->compact_revision)},
        COUNT("etcd_debugging_mvcc_db_compaction_keys_total", "Total number of db keys compacted.",
              mvcc.compacted_keys),
        GAUGE("etcd_debugging_mvcc_watcher_total", "Total number of watchers.", watch.watchers),
        GAUGE("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.",
              watch.streams),
        GAUGE("etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.",
              watch.slow_watchers),
        GAUGE("etcd_debugging_mvcc_pending_events_total",
              "Total number of pending events to be sent.", watch.pending_events),
        COUNT("etcd_debugging_mvcc_events_total", "Total number of events sent by this member.",
              watch.events),
        COUNT("etcd_debugging_lease_granted_total", "The total number of granted leases.",
              server.lease_granted),
        COUNT("etcd_debugging_lease_revoked_total", "The total number of revoked leases.",
              server.lease_revoked),
        COUNT("etcd_debugging_server_lease_expired_total", "The total number of expired leases.",
              server.lease_expired),
        GAUGE("stead_leases", "Leases that live.", leases),
    };

    return metrics_render(rows, ARRAY_LEN(rows), out);
}

static int render_process(const struct values *v, struct buf *out)
{
    const struct metric rows[] = {
        COUNT("etcd_network_client_grpc_received_bytes_total",
              "The total number of bytes received from grpc clients.", received),
        COUNT("etcd_network_client_grpc_sent_bytes_total",
              "The total number of bytes sent to grpc clients.", sent),
        GAUGE("os_fd_used", "The number of used file descriptors.", open_fds),
        GAUGE("os_fd_limit", "The file descriptor limit.", fd_limit),
        GAUGE("process_open_fds", "Number of open file descriptors.", open_fds),
        GAUGE("process_max_fds", "Maximum number of open file descriptors.", fd_limit),
        GAUGE("process_resident_memory_bytes", "Resident memory size in bytes.", rss_bytes),
        {"process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
         METRIC_COUNTER, METRIC_F64(&v->cpu_seconds)},
        {"process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
         METRIC_GAUGE, METRIC_F64(&v->start_seconds)},
    };

    return metrics_render(rows, ARRAY_LEN(rows), out);
}

/* --- calls by method: grpc_server_* as go-grpc-prometheus names them --- */

struct method_counts {
    struct grpc_method_stats list[ROWS_MAX];
    size_t n;
};

static void keep_method(void *ctx, const struct grpc_method_stats *s)
{
    struct method_counts *m = ctx;

    if (m->n < ROWS_MAX && s->started)
        m->list[m->n++] = *s;
}

static const char *call_kind(const struct grpc_method *m)
{
    if (m->client_streaming)
        return m->server_streaming ? "bidi_stream" : "client_stream";
    return m->server_streaming ? "server_stream" : "unary";
}

/* "/pkg.Service/Method" -> service and method for the labels. */
static void split_path(const char *path, char *service, size_t size, const char **method)
{
    const char *slash = strrchr(path, '/');

    snprintf(service, size, "%.*s", (int)(slash - path - 1), path + 1);
    *method = slash + 1;
}

static void print_methods(const struct method_counts *m, const char *name, const char *help,
                          size_t offset, struct buf *out)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n", name, help, name);
    for (size_t i = 0; i < m->n; i++) {
        char service[128];
        const char *method;
        uint64_t v;
        split_path(m->list[i].method->path, service, sizeof service, &method);
        memcpy(&v, (const char *)&m->list[i] + offset, sizeof v);
        buf_printf(out, "%s{grpc_method=\"%s\",grpc_service=\"%s\",grpc_type=\"%s\"} %" PRIu64 "\n",
                   name, method, service, call_kind(m->list[i].method), v);
    }
}

static void print_handled(const struct method_counts *m, struct buf *out)
{
    static const char *const codes[] = {
        "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
        "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
        "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
        "DataLoss", "Unauthenticated"};
    const char *name = "grpc_server_handled_total";

    buf_printf(out, "# HELP %s Total number of RPCs completed on the server.\n# TYPE %s counter\n",
               name, name);
    for (size_t i = 0; i < m->n; i++) {
        char service[128];
        const char *method;
        split_path(m->list[i].method->path, service, sizeof service, &method);
        for (size_t c = 0; c < ARRAY_LEN(codes); c++)
            if (m->list[i].handled[c])
                buf_printf(
                    out,
                    "%s{grpc_code=\"%s\",grpc_method=\"%s\",grpc_service=\"%s\",grpc_type=\"%s\"} "
                    "%" PRIu64 "\n",
                    name, codes[c], method, service, call_kind(m->list[i].method),
                    m->list[i].handled[c]);
    }
}

static void render_methods(const struct grpc_methods *methods, struct buf *out)
{
    struct method_counts *m = xcalloc(1, sizeof *m);

    grpc_methods_stats(methods, keep_method, m);
    print_methods(m, "grpc_server_started_total", "Total number of RPCs started on the server.",
                  offsetof(struct grpc_method_stats, started), out);
    print_methods(m, "grpc_server_msg_received_total",
                  "Total number of RPC stream messages received on the server.",
                  offsetof(struct grpc_method_stats, msg_received), out);
    print_methods(m, "grpc_server_msg_sent_total",
                  "Total number of gRPC stream messages sent by the server.",
                  offsetof(struct grpc_method_stats, msg_sent), out);
    print_handled(m, out);
    free(m);
}

void metrics_export(struct server *s, const struct grpc_methods *methods, uint64_t health_successes,
                    uint64_t health_failures, struct buf *out)
{
    struct values v = {.health_successes = health_successes, .health_failures = health_failures};

    take_values(s, methods, &v);
    render_member(s, &v, out);
    render_store(&v, out);
    render_process(&v, out);
    if (methods)
        render_methods(methods, out);
}
