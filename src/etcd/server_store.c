/* The store's upkeep: checkpoints, the log's spare segment, compaction in steps, the background
 * check. */
#include "etcd/server_internal.h"

#include "base/log.h"

/* --- work in other threads --- */

struct offload {
    uv_work_t work;
    struct list link; /* in server.waiting_jobs */
    bool is_long;
    struct server *server;
    int (*fn)(void *arg);
    void (*after)(void *arg, int result);
    void *arg;
    int result;
};

static void offload_run(uv_work_t *work)
{
    struct offload *o = container_of(work, struct offload, work);

    o->result = o->fn(o->arg);
}

static void offload_after(uv_work_t *work, int status);

static void offload_start(struct offload *o)
{
    o->server->long_jobs += o->is_long;
    uv_queue_work(o->server->loop, &o->work, offload_run, offload_after);
}

static void start_waiting(struct server *s)
{
    while (s->long_jobs < LONG_JOBS_MAX && !list_empty(&s->waiting_jobs)) {
        struct offload *o = list_first(&s->waiting_jobs, struct offload, link);
        list_del(&o->link);
        offload_start(o);
    }
}

static void offload_after(uv_work_t *work, int status)
{
    struct offload *o = container_of(work, struct offload, work);

    o->server->offloads--;
    o->server->long_jobs -= o->is_long;
    start_waiting(o->server);
    o->after(o->arg, o->result);
    free(o);
}

static struct offload *offload_new(struct server *s, int (*fn)(void *arg),
                                   void (*after)(void *arg, int result), void *arg)
{
    struct offload *o = xmalloc(sizeof *o);

    *o = (struct offload){.server = s, .fn = fn, .after = after, .arg = arg};
    s->offloads++;
    return o;
}

void server_offload(struct server *s, int (*fn)(void *arg), void (*after)(void *arg, int result),
                    void *arg)
{
    struct offload *o = offload_new(s, fn, after, arg);

    o->is_long = true;
    list_add_tail(&s->waiting_jobs, &o->link);
    start_waiting(s);
}

/* For what writes wait for. */
static void offload_short(struct server *s, int (*fn)(void *arg),
                          void (*after)(void *arg, int result), void *arg)
{
    offload_start(offload_new(s, fn, after, arg));
}

/* --- checkpoints --- */

static int checkpoint_sync(void *arg)
{
    struct server *s = arg;

    s->checkpoint_result = db_checkpoint_sync(s->db, &s->checkpoint_err);
    uv_sem_post(&s->checkpoint_synced);
    return 0;
}

/* What the store holds durably need not stay in the log: it is cut here once enough entries or
 * bytes stand behind the last cut. */
static void choose_cut(struct server *s)
{
    s->durable_applied = s->checkpoint_applied;
    if (s->durable_applied < s->cut_index + s->conf->snapshot_count &&
        s->stats.wal_bytes < s->cut_log_bytes + LOG_BYTES_KEPT)
        return;
    s->cut_index = s->durable_applied;
    s->cut_term = s->checkpoint_term;
    s->cut_log_bytes = s->stats.wal_bytes;
}

/* Ends the checkpoint whose sync has finished. The semaphore tells: whoever takes it ends it, the
 * loop's callback or somebody who could not wait for that. */
static void checkpoint_finish(struct server *s)
{
    if (s->checkpoint_result < 0)
        server_die("the store cannot be made durable", s->checkpoint_err.msg);
    histogram_observe_ns(&s->commit_seconds, (server_now_ns(s) - s->checkpoint_begin_ns));
    db_checkpoint_end(s->db);
    choose_cut(s);
}

static void checkpoint_done(void *arg, int result)
{
    struct server *s = arg;

    if (uv_sem_trywait(&s->checkpoint_synced) < 0)
        return;
    checkpoint_finish(s);
    if (!s->stopping)
        server_turn(s); /* log batches may have waited for this */
}

static void checkpoint_begin(struct server *s, uint64_t now_ns)
{
    int r = mvcc_flush(s->mvcc);

    if (r == 0)
        r = db_checkpoint_begin(s->db);
    if (r != 0)
        server_die("the store cannot be written", err_text(r));
    mvcc_applied(s->mvcc, &s->checkpoint_applied, &s->checkpoint_term);
    s->checkpoint_at_ns = s->checkpoint_begin_ns = now_ns;
}

void server_checkpoint_maybe(struct server *s, uint64_t now_ns)
{
    uint64_t changes = db_changes(s->db);

    if (changes == 0 || db_checkpoint_pending(s->db))
        return;
    if (changes < CHECKPOINT_CHANGES && db_change_bytes(s->db) < CHECKPOINT_BYTES &&
        now_ns - s->checkpoint_at_ns < CHECKPOINT_IDLE_NS)
        return;
    checkpoint_begin(s, now_ns);
    offload_short(s, checkpoint_sync, checkpoint_done, s);
}

static void checkpoint_wait(struct server *s)
{
    if (!db_checkpoint_pending(s->db))
        return;
    uv_sem_wait(&s->checkpoint_synced);
    checkpoint_finish(s);
}

void server_checkpoint_within(struct server *s)
{
    if (db_changes(s->db) < CHECKPOINT_CHANGES && db_change_bytes(s->db) < CHECKPOINT_BYTES)
        return;
    if (server_store_lags(s))
        checkpoint_wait(s);
    server_checkpoint_maybe(s, server_now_ns(s));
}

void server_checkpoint_now(struct server *s)
{
    checkpoint_wait(s);
    checkpoint_begin(s, server_now_ns(s));
    checkpoint_sync(s);
    uv_sem_wait(&s->checkpoint_synced);
    checkpoint_finish(s);
}

bool server_store_lags(const struct server *s)
{
    return db_checkpoint_pending(s->db) && (db_changes(s->db) > CHECKPOINT_CHANGES_MAX ||
                                            db_change_bytes(s->db) > CHECKPOINT_BYTES_MAX);
}

uint64_t server_store_bytes(const struct server *s)
{
    return db_size(s->db) + db_change_bytes(s->db);
}

int server_view_begin(struct server *s, MDB_txn **ret)
{
    int r = db_view_begin(s->db, ret);

    if (r == 0)
        s->views++;
    return r;
}

void server_view_end(struct server *s, MDB_txn *view)
{
    db_view_end(s->db, view);
    s->views--;
}

bool server_busy_with_views(const struct server *s)
{
    return s->views > 0;
}

/* --- the log's spare segment --- */

static int spare_prepare(void *arg)
{
    struct server *s = arg;

    return wal_prepare_spare(s->wal, NULL);
}

static void spare_done(void *arg, int result)
{
    struct server *s = arg;

    s->spare_running = false;
    s->spare_failed = result < 0; /* a full disk: the tick tries again */
    s->waits_for_spare = s->waits_for_spare && result < 0;
    if (!s->stopping)
        server_turn(s); /* batches may have waited for it */
}

void server_spare_maybe(struct server *s)
{
    if (s->spare_running || s->stopping)
        return;
    if (!wal_wants_spare(s->wal)) {
        s->waits_for_spare = false; /* there is one: no space is the file system's own, try again */
        return;
    }
    s->spare_running = true;
    offload_short(s, spare_prepare, spare_done, s);
}

/* --- compaction --- */

void server_when_compacted(struct server *s, struct compact_wait *w)
{
    list_add_tail(&s->compact_waits, &w->link);
    if (!mvcc_compact_pending(s->mvcc))
        server_compact_step(s, server_now_ns(s));
}

static void compaction_finished(struct server *s)
{
    list_for_each (it, &s->compact_waits) {
        struct compact_wait *w = container_of(it, struct compact_wait, link);
        list_del(&w->link);
        w->done(w);
    }
}

void server_compact_step(struct server *s, uint64_t now_ns)
{
    if (mvcc_compact_pending(s->mvcc)) {
        if (now_ns < s->compact_at_ns || db_reserve(s->db, SPACE_HEADROOM) < 0)
            return;
        int r = mvcc_compact_step(s->mvcc, s->conf->compaction_batch);
        if (r < 0)
            server_die("compaction cannot go on",
                       mvcc_damage(s->mvcc)[0] ? mvcc_damage(s->mvcc) : err_text(r));
        s->compact_at_ns = now_ns + s->conf->compaction_sleep_ns;
        server_checkpoint_maybe(s, now_ns);
        if (r > 0)
            return;
        log_info("mvcc", "finished scheduled compaction",
                 LOG_I64("compact-revision", mvcc_compact_revision(s->mvcc)));
    }
    compaction_finished(s);
}

/* --- the background check --- */

struct check_job {
    struct server *server;
    MDB_txn *view;
    struct err err;
};

static int check_run(void *arg)
{
    struct check_job *j = arg;

    return mvcc_check(j->server->db, j->view, NULL, NULL, &j->err);
}

static void alarm_done(void *ctx, int code, const ProtobufCMessage *response)
{
}

static void raise_corrupt(struct server *s)
{
    Etcdserverpb__AlarmRequest r = ETCDSERVERPB__ALARM_REQUEST__INIT;

    r.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    r.memberid = s->member_id;
    r.alarm = ETCDSERVERPB__ALARM_TYPE__CORRUPT;
    server_propose_msg(s, STEADPB__RAFT_REQUEST__REQUEST_ALARM, &r.base, alarm_done, NULL, NULL);
}

static void check_done(void *arg, int result)
{
    struct check_job *j = arg;
    struct server *s = j->server;

    server_view_end(s, j->view);
    s->checking = false;
    if (result == ERR_DATA_DAMAGED) {
        log_error("etcdserver", "stored data is damaged; raising the CORRUPT alarm",
                  LOG_STR("place", j->err.msg),
                  LOG_STR("advice", "stop the member and restore its data from a snapshot"));
        raise_corrupt(s);
    } else if (result == 0) {
        log_info("etcdserver", "all stored data verified",
                 LOG_U64("keys", mvcc_key_count(s->mvcc)));
    } else {
        log_warn("etcdserver", "stored data could not be verified; the next check tries again",
                 LOG_STR("error", j->err.msg[0] ? j->err.msg : err_text(result)));
    }
    free(j);
}

void server_check_maybe(struct server *s, uint64_t now_ns)
{
    if (s->conf->check_interval_ns == 0 || s->checking || now_ns < s->check_at_ns)
        return;
    struct check_job *j = xcalloc(1, sizeof *j);
    j->server = s;
    s->check_at_ns = now_ns + s->conf->check_interval_ns;
    if (server_view_begin(s, &j->view) < 0) {
        free(j);
        return;
    }
    s->checking = true;
    server_offload(s, check_run, check_done, j);
}
