/* The member's life: open, recover, start, stop; and what others may ask of it. */
#include "etcd/server_internal.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "etcd/member_id.h"
#include "wire/pb.h"

#define DB_MAP_FACTOR                                                                              \
    4 /* address space for the store: compaction and copy-on-write need room beyond the quota */
#define DB_MAP_MIN (16ULL << 30)

_Noreturn void server_die(const char *what, const char *detail)
{
    log_fatal("etcdserver", what, LOG_STR("error", detail));
    _exit(6);
}

/* --- directories --- */

static int make_dir(const char *path, struct err *e)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(e, -errno, "make directory '%s'", path);
    return 0;
}

static int make_dirs(const struct etcd_conf *c, char *const paths[3], struct err *e)
{
    int r = make_dir(c->data_dir, e);

    for (size_t i = 0; i < 3 && r == 0; i++)
        r = make_dir(paths[i], e);
    return r;
}

/* --- recovery --- */

struct restored {
    struct raft_entry *list;
    size_t n, cap;
};

static int keep_entry(void *ctx, const struct raft_entry *entry)
{
    struct restored *x = ctx;

    if (x->n == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 256;
        x->list = xrealloc(x->list, x->cap * sizeof *x->list);
    }
    uint8_t *copy = xmalloc(entry->data.n);
    if (entry->data.n)
        memcpy(copy, entry->data.p, entry->data.n);
    x->list[x->n] = *entry;
    x->list[x->n++].data.p = copy;
    return 0;
}

static void free_restored(struct restored *x)
{
    for (size_t i = 0; i < x->n; i++)
        free((void *)(uintptr_t)x->list[i].data.p);
    free(x->list);
}

/* A later write of the same index replaces the earlier one and all behind it. */
static void drop_overwritten(struct restored *x)
{
    size_t n = 0;

    for (size_t i = 0; i < x->n; i++) {
        while (n && x->list[n - 1].index >= x->list[i].index)
            free((void *)(uintptr_t)x->list[--n].data.p);
        x->list[n++] = x->list[i];
    }
    x->n = n;
}

static void report_torn(const struct wal_recovered *rec)
{
    if (rec->torn_bytes == 0)
        return;
    log_warn("wal",
             "cut off an unfinished write at the end of the log; nothing in it was acknowledged",
             LOG_STR("file", rec->torn_file), LOG_U64("offset", rec->torn_offset),
             LOG_U64("bytes", rec->torn_bytes));
}

static int check_log_fits(const struct wal_recovered *rec, uint64_t applied, struct err *e)
{
    if (applied > rec->last_index)
        return err_set(
            e, ERR_DATA_DAMAGED,
            "the log ends at index %" PRIu64 " but the store holds index %" PRIu64
            ": log files are missing or from another member; restore both from the same place",
            rec->last_index, applied);
    if (applied < rec->snap_index)
        return err_set(e, ERR_DATA_DAMAGED,
                       "the log begins behind index %" PRIu64
                       " but the store holds only index %" PRIu64
                       ": the store's file is older than the log; restore both from the same place",
                       rec->snap_index, applied);
    return 0;
}

static int start_raft(struct server *s, const struct wal_recovered *rec, uint64_t applied,
                      const struct restored *entries, struct err *e)
{
    struct raft_conf rc = {.id = s->member_id,
                           .voters = &s->member_id,
                           .nvoters = 1,
                           .unapplied_max = MAX((size_t)UNAPPLIED_MAX, entries->n + UNAPPLIED_MAX),
                           .uncommitted_bytes_max = UNCOMMITTED_BYTES_MAX};
    int r = raft_new(&rc, &rec->hard_state, rec->snap_index, rec->snap_term, rec->last_index,
                     rec->last_term, applied, &s->raft, e);

    for (size_t i = 0; i < entries->n && r == 0; i++)
        r = raft_restore(s->raft, &entries->list[i]);
    return r;
}

static int open_log(struct server *s, const char *dir, struct err *e)
{
    struct wal_recovered rec = {0};
    struct restored entries = {0};
    uint64_t applied, term;
    int r = 0;

    mvcc_applied(s->mvcc, &applied, &term);
    if (!wal_exists(dir)) {
        if (applied > 0)
            return err_set(e, ERR_DATA_DAMAGED,
                           "no log in '%s' although the store holds index %" PRIu64
                           ": put the log's files back, or restore from a snapshot",
                           dir, applied);
        struct wal_meta meta = {cluster_id_make(s->member_id), s->member_id};
        r = wal_create(dir, &meta, e);
    }
    if (r == 0)
        r = wal_open(dir, applied, keep_entry, &entries, &rec, &s->wal, e);
    if (r == 0) {
        report_torn(&rec);
        s->cluster_id = rec.meta.cluster_id;
        s->member_id = rec.meta.member_id;
        s->marked_index = s->cut_index = rec.snap_index;
        drop_overwritten(&entries);
        r = check_log_fits(&rec, applied, e);
    }
    if (r == 0)
        r = start_raft(s, &rec, applied, &entries, e);
    free_restored(&entries);
    return r;
}

static int restore_lease(void *ctx, const struct mvcc_lease *l)
{
    struct server *s = ctx;

    return lease_add(s->leases, l->id, l->ttl_s, l->remaining_s, server_now_ns(s));
}

static int restore_facts(struct server *s, struct err *e)
{
    struct arena a;
    struct slice v;
    int r = mvcc_lease_each(s->mvcc, restore_lease, s);

    arena_init(&a, LIMIT_REQUEST_BYTES);
    if (r == 0 && mvcc_meta_get(s->mvcc, "alarms", &a, &v) == 0)
        r = alarm_decode(&s->alarms, v);
    if (r == 0 && mvcc_meta_get(s->mvcc, "member", &a, &v) == 0)
        s->member = steadpb__member_attributes__unpack(NULL, v.n, v.p);
    arena_deinit(&a);
    return r < 0 ? err_set(e, r, "read leases and alarms from the store") : 0;
}

static int64_t min_lease_ttl_s(const struct etcd_conf *c)
{
    return (int64_t)((c->election_ms * 3 / 2 + 999) / 1000); /* ceil(1.5 election timeouts) */
}

static int open_store(struct server *s, const char *path, struct err *e)
{
    uint64_t quota = server_quota_bytes(s);
    struct db_conf dc = {.path = path,
                         .map_bytes = MAX(quota * DB_MAP_FACTOR, DB_MAP_MIN),
                         .unsafe_no_fsync = s->conf->unsafe_no_fsync};
    uint64_t seed[2] = {rng_u64(&s->rng), rng_u64(&s->rng)};
    int r = db_open(&dc, &s->db, e);

    if (r == 0)
        r = mvcc_open(s->db, &s->mvcc, e);
    if (r < 0)
        return r;
    s->leases = lease_set_new(min_lease_ttl_s(s->conf), seed);
    struct watch_hub_conf wc = {
        .server = s,
        .mvcc = s->mvcc,
        .progress_interval_ns = s->conf->watch_progress_ns,
        .fragment_bytes = s->conf->max_request_bytes + LIMIT_GRPC_OVERHEAD,
        .seed = {rng_u64(&s->rng), rng_u64(&s->rng)},
    };
    s->watches = watch_hub_new(&wc);
    return restore_facts(s, e);
}

/* --- what the member tells of itself, through the log --- */

static bool member_is_current(const struct server *s)
{
    const Steadpb__MemberAttributes *m = s->member;
    size_t n = 0;

    if (!m || strcmp(m->name, s->conf->name) != 0)
        return false;
    for (; n < m->n_client_urls && s->conf->advertise_client_urls[n]; n++)
        if (strcmp(m->client_urls[n], s->conf->advertise_client_urls[n]) != 0)
            return false;
    return n == m->n_client_urls && !s->conf->advertise_client_urls[n];
}

static void published(void *ctx, int code, const ProtobufCMessage *response)
{
    if (code < 0)
        log_warn("etcdserver", "failed to publish local member", LOG_STR("error", err_text(code)));
}

static void publish(struct server *s)
{
    Steadpb__MemberAttributes m = STEADPB__MEMBER_ATTRIBUTES__INIT;

    if (member_is_current(s))
        return;
    m.member_id = s->member_id;
    m.name = s->conf->name;
    m.client_urls = s->conf->advertise_client_urls;
    while (m.client_urls[m.n_client_urls])
        m.n_client_urls++;
    int r = server_propose_msg(s, STEADPB__RAFT_REQUEST__REQUEST_MEMBER_ATTRIBUTES, &m.base,
                               published, NULL, NULL);
    if (r < 0)
        published(NULL, r, NULL);
    server_turn(s);
}

/* --- life --- */

static void init_histograms(struct server *s)
{
    histogram_init(&s->fsync_seconds, &histogram_disk);
    histogram_init(&s->commit_seconds, &histogram_disk);
    histogram_init(&s->apply_seconds, &histogram_apply);
}

static int open_member(struct server *s, struct err *e)
{
    const struct etcd_conf *c = s->conf;
    cleanup_free char *member = xasprintf("%s/member", c->data_dir);
    cleanup_free char *snap = xasprintf("%s/snap", member);
    cleanup_free char *wal = c->wal_dir ? xstrdup(c->wal_dir) : xasprintf("%s/wal", member);
    cleanup_free char *db = xasprintf("%s/db", snap);
    int r = make_dirs(c, (char *const[]){member, snap, wal}, e);

    if (r == 0)
        r = open_store(s, db, e);
    if (r == 0)
        r = open_log(s, wal, e);
    if (r == 0)
        r = log_writer_new(s->loop, s->wal, server_log_done, s, &s->writer, e);
    if (r == 0)
        r = autocompact_init(&s->autocompact, c->compaction_mode == COMPACT_PERIODIC,
                             c->compaction_retention, server_now_ns(s), e);
    return r;
}

int server_open(const struct etcd_conf *conf, uv_loop_t *loop, struct server **ret, struct err *e)
{
    struct server *s = xcalloc(1, sizeof *s);

    s->conf = conf;
    s->loop = loop;
    s->started_wall_ns = clock_wall_ns(&clock_system);
    rng_seed_os(&s->rng);
    list_init(&s->compact_waits);
    list_init(&s->waiting_jobs);
    uv_sem_init(&s->checkpoint_synced, 0);
    server_write_init(s);
    init_histograms(s);
    s->member_id = member_id_make(conf->initial_advertise_peer_urls, conf->initial_cluster_token);
    int r = open_member(s, e);
    if (r == 0)
        r = server_catch_up(s, e);
    if (r < 0) {
        err_wrap(e, r, "start member '%s'", conf->name);
        s->stopping = true;
        while (s->offloads) /* they hold s */
            uv_run(loop, UV_RUN_ONCE);
        if (s->writer)
            log_writer_close(s->writer);
        s->writer = NULL;
        server_free(s);
        return r;
    }
    publish(s);
    *ret = s;
    return 0;
}

void server_start(struct server *s, struct io_server *io)
{
    s->io = io;
    server_tick_start(s);
    server_spare_maybe(s);
}

void server_stop(struct server *s)
{
    if (s->stopping)
        return;
    server_turn(s);
    s->stopping = true;
    while (s->offloads || log_writer_busy(s->writer))
        uv_run(s->loop, UV_RUN_ONCE);
    server_fail_pending(s);
    server_checkpoint_now(s);
    if (s->io)
        server_tick_stop(s);
    log_writer_close(s->writer);
    s->writer = NULL;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    server_fail_pending(s); /* a start that failed */
    watch_hub_free(s->watches);
    raft_free(s->raft);
    wal_close(s->wal);
    mvcc_free(s->mvcc);
    db_close(s->db);
    lease_set_free(s->leases);
    if (s->member)
        steadpb__member_attributes__free_unpacked(s->member, NULL);
    server_write_free(s);
    uv_sem_destroy(&s->checkpoint_synced);
    free(s);
}

/* --- queries --- */

void server_header(const struct server *s, Etcdserverpb__ResponseHeader *h)
{
    struct raft_status st;

    raft_status(s->raft, &st);
    h->cluster_id = s->cluster_id;
    h->member_id = s->member_id;
    h->revision = mvcc_revision(s->mvcc);
    h->raft_term = st.term;
}

int server_read_check(const struct server *s, bool serializable)
{
    struct raft_status st;

    if (serializable)
        return 0;
    raft_status(s->raft, &st);
    return st.leader == 0 ? ERR_NO_LEADER : 0;
}

uint64_t server_quota_bytes(const struct server *s)
{
    if (s->conf->quota_bytes < 0)
        return 0;
    return s->conf->quota_bytes == 0 ? ETCD_QUOTA_DEFAULT : (uint64_t)s->conf->quota_bytes;
}

static void quota_alarm_done(void *ctx, int code, const ProtobufCMessage *response)
{
    struct server *s = ctx;

    s->quota_alarm_proposed = false;
    if (code == 0)
        log_warn("etcdserver", "alarm raised", LOG_STR("alarm", "NOSPACE"),
                 LOG_HEX("member-id", s->member_id));
}

static void raise_quota_alarm(struct server *s)
{
    Etcdserverpb__AlarmRequest r = ETCDSERVERPB__ALARM_REQUEST__INIT;

    if (s->quota_alarm_proposed || alarm_stands(&s->alarms, ETCDSERVERPB__ALARM_TYPE__NOSPACE))
        return;
    r.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    r.memberid = s->member_id;
    r.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    s->quota_alarm_proposed = server_propose_msg(s, STEADPB__RAFT_REQUEST__REQUEST_ALARM, &r.base,
                                                 quota_alarm_done, s, NULL) == 0;
}

int server_quota_check(struct server *s, uint64_t cost)
{
    uint64_t quota = server_quota_bytes(s);

    if (quota == 0 || server_store_bytes(s) + cost < quota)
        return 0;
    raise_quota_alarm(s);
    return ERR_NO_SPACE;
}

void server_raft_status(const struct server *s, struct raft_status *ret)
{
    raft_status(s->raft, ret);
}

void server_stats(const struct server *s, struct server_stats *ret)
{
    *ret = s->stats;
    ret->views = s->views;
    ret->proposals_pending = 0;
    for (const struct list *it = s->pending.next; it != &s->pending; it = it->next)
        ret->proposals_pending++;
}

const struct etcd_conf *server_conf(const struct server *s)
{
    return s->conf;
}
struct alarm_set *server_alarms(struct server *s)
{
    return &s->alarms;
}
struct mvcc *server_mvcc(struct server *s)
{
    return s->mvcc;
}
struct db *server_db(struct server *s)
{
    return s->db;
}
struct lease_set *server_leases(struct server *s)
{
    return s->leases;
}
struct watch_hub *server_watches(struct server *s)
{
    return s->watches;
}
struct rng *server_rng(struct server *s)
{
    return &s->rng;
}
uv_loop_t *server_loop(struct server *s)
{
    return s->loop;
}
uint64_t server_now_ns(const struct server *s)
{
    return clock_mono_ns(&clock_system);
}
uint64_t server_cluster_id(const struct server *s)
{
    return s->cluster_id;
}
uint64_t server_member_id(const struct server *s)
{
    return s->member_id;
}

const struct histogram *server_fsync_histogram(const struct server *s)
{
    return &s->fsync_seconds;
}
const struct histogram *server_commit_histogram(const struct server *s)
{
    return &s->commit_seconds;
}
const struct histogram *server_apply_histogram(const struct server *s)
{
    return &s->apply_seconds;
}
double server_start_seconds(const struct server *s)
{
    return (double)s->started_wall_ns / (double)NS_PER_S;
}

void server_member_self(const struct server *s, struct server_member *ret)
{
    *ret = (struct server_member){.name = s->conf->name,
                                  .peer_urls = s->conf->initial_advertise_peer_urls,
                                  .client_urls = s->conf->advertise_client_urls};
}
