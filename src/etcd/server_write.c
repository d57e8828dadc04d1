/* The way of a write: propose, gather in frames, make durable, apply in order, answer. */
#include "etcd/server_internal.h"

#include "base/log.h"
#include "wire/pb.h"

#define FRAME_BUF_KEEP     (256u * 1024) /* memory an idle batch keeps */
#define PROPOSE_OVERHEAD   64            /* bytes a log record adds to a request, at most */
#define PB_TAG_BYTES(what) ((uint64_t)(what) << 3 | 2) /* length-delimited field */

void server_write_init(struct server *s)
{
    list_init(&s->gathered);
    list_init(&s->spare_batches);
    list_init(&s->pending);
    list_init(&s->free_proposals);
    buf_init(&s->propose_buf, UNCOMMITTED_BYTES_MAX);
    arena_init(&s->apply_arena, APPLY_ARENA_BYTES);
}

static void free_batches(struct list *l)
{
    list_for_each (it, l) {
        struct batch *b = container_of(it, struct batch, link);
        buf_deinit(&b->frame);
        free(b);
    }
    list_init(l);
}

void server_write_free(struct server *s)
{
    if (s->writing)
        list_add_tail(&s->gathered, &s->writing->link);
    free_batches(&s->gathered);
    free_batches(&s->spare_batches);
    list_for_each (it, &s->free_proposals)
        free(container_of(it, struct proposal, link));
    list_for_each (p, &s->pending)
        free(container_of(p, struct proposal, link));
    buf_deinit(&s->propose_buf);
    arena_deinit(&s->apply_arena);
}

/* --- propose --- */

static size_t put_varint(uint8_t *p, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

/* A RaftRequest whose one member is the encoding that arrived: nothing is encoded a second time. */
static int encode_request(struct buf *out, Steadpb__RaftRequest__RequestCase what, struct slice raw)
{
    uint8_t head[20];
    size_t n = put_varint(head, PB_TAG_BYTES(what));

    n += put_varint(head + n, raw.n);
    buf_clear(out);
    int r = buf_append(out, head, n);
    return r < 0 ? r : buf_append_slice(out, raw);
}

static struct proposal *new_proposal(struct server *s, proposal_done *done, void *ctx)
{
    struct proposal *p;

    if (list_empty(&s->free_proposals)) {
        p = xmalloc(sizeof *p);
    } else {
        p = list_first(&s->free_proposals, struct proposal, link);
        list_del(&p->link);
    }
    *p = (struct proposal){.done = done, .ctx = ctx};
    list_add_tail(&s->pending, &p->link);
    return p;
}

/* Whether the disk has no room: for the log behind what is prepared, or for the store. Asked before
 * a write is accepted, so that an accepted one never fails for a full disk. A spare segment that is
 * only late is no reason to refuse: its batch waits. */
static bool disk_full(struct server *s, size_t bytes)
{
    uint64_t need = s->unwritten_bytes + bytes + PROPOSE_OVERHEAD;

    return (s->spare_failed && wal_room(s->wal) < need) ||
           db_reserve(s->db, SPACE_HEADROOM + 4 * need) < 0;
}

static int space_check(struct server *s, size_t bytes)
{
    bool full = disk_full(s, bytes);

    if (full != s->disk_full_logged)
        log_warn("etcdserver",
                 full ? "no space left on the disk; refusing writes until there is"
                      : "there is space on the disk again; taking writes",
                 LOG_STR("data-dir", s->conf->data_dir));
    s->disk_full_logged = full;
    return full ? ERR_NO_SPACE : 0;
}

int server_propose(struct server *s, Steadpb__RaftRequest__RequestCase what, struct slice raw,
                   proposal_done *done, void *ctx, struct proposal **ret)
{
    uint64_t index, term;
    int r = s->stopping ? ERR_STOPPED : 0;

    if (r == 0 && raw.n > s->conf->max_request_bytes)
        r = ERR_REQUEST_TOO_LARGE;
    if (r == 0)
        r = space_check(s, raw.n);
    if (r == 0 && encode_request(&s->propose_buf, what, raw) < 0)
        r = ERR_REQUEST_TOO_LARGE;
    if (r == 0)
        r = raft_propose(s->raft, RAFT_ENTRY_NORMAL, buf_slice(&s->propose_buf), &index, &term);
    if (r < 0) {
        s->stats.proposals_failed++;
        return r;
    }
    s->unwritten_bytes += s->propose_buf.n + PROPOSE_OVERHEAD;
    struct proposal *p = new_proposal(s, done, ctx);
    p->index = index;
    p->term = term;
    if (ret)
        *ret = p;
    return 0;
}

int server_propose_msg(struct server *s, Steadpb__RaftRequest__RequestCase what,
                       const ProtobufCMessage *msg, proposal_done *done, void *ctx,
                       struct proposal **ret)
{
    cleanup_buf struct buf raw;

    buf_init(&raw, UNCOMMITTED_BYTES_MAX);
    if (pb_pack(msg, &raw) < 0)
        return ERR_REQUEST_TOO_LARGE;
    return server_propose(s, what, buf_slice(&raw), done, ctx, ret);
}

void server_proposal_abandon(struct proposal *p)
{
    if (p)
        p->done = NULL;
}

static void recycle(struct server *s, struct proposal *p)
{
    list_del(&p->link);
    list_add_head(&s->free_proposals, &p->link);
}

void server_fail_pending(struct server *s)
{
    while (!list_empty(&s->pending)) {
        struct proposal *p = list_first(&s->pending, struct proposal, link);
        recycle(s, p);
        if (p->done)
            p->done(p->ctx, ERR_STOPPED, NULL);
    }
}

/* --- gather and write --- */

static struct batch *new_batch(struct server *s)
{
    struct batch *b;

    if (list_empty(&s->spare_batches)) {
        b = xcalloc(1, sizeof *b);
        buf_init(&b->frame, WAL_FRAME_BYTES_MAX);
    } else {
        b = list_first(&s->spare_batches, struct batch, link);
        list_del(&b->link);
        b->last_index = b->last_term = 0;
        b->written_bytes = 0;
    }
    b->job = (struct log_job){.frame = &b->frame};
    wal_frame_begin(&b->frame);
    list_add_tail(&s->gathered, &b->link);
    return b;
}

static struct batch *gathering(struct server *s)
{
    return list_empty(&s->gathered) ? new_batch(s)
                                    : container_of(s->gathered.prev, struct batch, link);
}

/* Appends to the newest frame, or to a new one when it is full. One entry always fits an empty
 * frame: the request limit is far below a frame's. */
static struct batch *gather_entry(struct server *s, const struct raft_entry *e)
{
    struct batch *b = gathering(s);

    if (wal_frame_entry(&b->frame, e) < 0) {
        b = new_batch(s);
        int r = wal_frame_entry(&b->frame, e);
        assert(r == 0);
    }
    b->last_index = e->index;
    b->last_term = e->term;
    b->written_bytes += e->data.n + PROPOSE_OVERHEAD;
    return b;
}

static void gather_hard_state(struct server *s)
{
    struct batch *b = gathering(s);

    if (wal_frame_hard_state(&b->frame, &s->hard_state) < 0)
        b = new_batch(s), (void)wal_frame_hard_state(&b->frame, &s->hard_state);
    s->hard_state_dirty = false;
}

/* The log is cut behind the snapshot mark: everything up to it is durable in the store. */
static void gather_snapshot_mark(struct server *s)
{
    if (s->cut_index <= s->marked_index)
        return;
    struct batch *b = gathering(s);
    if (wal_frame_snapshot(&b->frame, s->cut_index, s->cut_term) < 0)
        return; /* next time */
    b->job.release_index = s->cut_index;
    s->marked_index = s->cut_index;
}

static void apply_committed(struct server *s, const struct raft_entry *entries, size_t n);

/* Takes what raft has to say: entries and hard state into frames, committed entries to the store. A
 * commit index that moved alone waits for the next entries: it can be told from them. */
static void drain_ready(struct server *s)
{
    struct raft_ready rd;

    while (raft_ready(s->raft, &rd)) {
        if (rd.hard_state_changed) {
            s->hard_state = rd.hard_state;
            s->hard_state_dirty = true;
        }
        if (s->hard_state_dirty && (rd.must_sync || rd.nentries))
            gather_hard_state(s);
        for (size_t i = 0; i < rd.nentries; i++)
            gather_entry(s, &rd.entries[i]);
        if (rd.nentries)
            gather_snapshot_mark(s);
        if (rd.ncommitted)
            apply_committed(s, rd.committed, rd.ncommitted);
    }
}

/* Nothing of the batch was written because no new segment was to be had yet: it waits for one. */
static bool put_back(struct server *s, struct batch *b)
{
    if (b->job.result != -ENOSPC)
        return false;
    list_add_head(&s->gathered, &b->link);
    s->waits_for_spare = true;
    server_spare_maybe(s);
    return true;
}

static void batch_written(struct server *s, struct batch *b)
{
    if (b->job.result < 0)
        server_die("the log cannot be written", b->job.err.msg);
    histogram_observe_ns(&s->fsync_seconds, b->job.duration_ns);
    s->stats.wal_bytes += b->frame.n;
    raft_persisted(s->raft, b->last_index, b->last_term);
    buf_shrink(&b->frame, FRAME_BUF_KEEP);
    list_add_tail(&s->spare_batches, &b->link);
    s->unwritten_bytes -= MIN(s->unwritten_bytes, (uint64_t)b->written_bytes);
    server_spare_maybe(s);
}

static bool may_write(const struct server *s)
{
    return !list_empty(&s->gathered) && !log_writer_busy(s->writer) && !s->waits_for_spare &&
           !server_store_lags(s);
}

static struct batch *next_batch(struct server *s)
{
    struct batch *b = list_first(&s->gathered, struct batch, link);

    list_del(&b->link);
    b->job.last_index = b->last_index;
    return b;
}

/* Writes on this thread when at most one call waits: then there is nothing to overlap with, and
 * handing over would only cost two thread switches. */
static bool prefer_inline(const struct server *s)
{
    return !s->io || io_server_unary_open(s->io) <= 1;
}

void server_turn(void *server)
{
    struct server *s = server;

    if (watch_hub_busy(s->watches))
        server_feed(s);
    drain_ready(s);
    while (may_write(s)) {
        struct batch *b = next_batch(s);
        if (!prefer_inline(s)) {
            s->writing = b;
            log_writer_submit(s->writer, &b->job);
            return;
        }
        log_writer_inline(s->writer, &b->job);
        if (put_back(s, b))
            return;
        batch_written(s, b);
        drain_ready(s);
    }
}

void server_log_done(void *server, struct log_job *job)
{
    struct server *s = server;
    struct batch *b = take_ptr(&s->writing);

    assert(b && &b->job == job);
    if (put_back(s, b))
        return;
    batch_written(s, b);
    server_turn(s);
}

int server_catch_up(struct server *s, struct err *e)
{
    struct raft_status st;

    raft_campaign(s->raft);
    server_turn(s);
    raft_status(s->raft, &st);
    if (s->waits_for_spare)
        return err_set(e, ERR_NO_SPACE,
                       "no space on the disk for a new log segment: free at least %u MiB for the "
                       "log and start again",
                       WAL_SEGMENT_BYTES >> 20);
    if (st.state != RAFT_LEADER || st.applied != st.last)
        return err_set(e, ERR_INTERNAL, "the log was not applied to its end");
    return 0;
}

/* --- apply --- */

/* The asker of the entry at index, if it is one of ours. */
static struct proposal *proposal_of(struct server *s, const struct raft_entry *e)
{
    if (list_empty(&s->pending))
        return NULL;
    struct proposal *p = list_first(&s->pending, struct proposal, link);
    return p->index == e->index && p->term == e->term ? p : NULL;
}

static void answer(struct server *s, const struct raft_entry *e, int code, ProtobufCMessage *resp)
{
    struct proposal *p = proposal_of(s, e);

    if (!p)
        return;
    proposal_done *done = p->done;
    void *ctx = p->ctx;
    recycle(s, p);
    if (done)
        done(ctx, code, code < 0 ? NULL : resp);
}

/* Codes with which the store itself has failed, as opposed to a request that was refused. */
static bool is_fatal(int code)
{
    return code == ERR_DATA_DAMAGED || code == ERR_LIMIT || code > 0 ||
           (code < 0 && (code <= ERR_FIRST || code >= ERR_END));
}

static void note_effects(struct server *s, const struct apply_ctx *x,
                         const Steadpb__RaftRequest *req)
{
    if (x->nevents)
        watch_hub_publish(s->watches, x->events, x->nevents, x->events_rev);
    if (x->compacted_rev > 0)
        watch_hub_compacted(s->watches, x->compacted_rev);
    if (x->member_id) {
        steadpb__member_attributes__free_unpacked(take_ptr(&s->member), NULL);
        cleanup_buf struct buf b;
        buf_init(&b, UNCOMMITTED_BYTES_MAX);
        if (pb_pack(&req->member_attributes->base, &b) == 0)
            s->member = steadpb__member_attributes__unpack(NULL, b.n, b.p);
    }
    s->stats.lease_granted += req->request_case == STEADPB__RAFT_REQUEST__REQUEST_LEASE_GRANT;
    s->stats.lease_revoked += req->request_case == STEADPB__RAFT_REQUEST__REQUEST_LEASE_REVOKE;
    if (req->request_case == STEADPB__RAFT_REQUEST__REQUEST_ALARM)
        s->quota_alarm_proposed = false;
}

static void apply_entry(struct server *s, const struct raft_entry *e)
{
    struct apply_ctx x = {.mvcc = s->mvcc,
                          .leases = s->leases,
                          .alarms = &s->alarms,
                          .now_ns = server_now_ns(s),
                          .arena = &s->apply_arena,
                          .ranges_max = LIMIT_RESPONSE_BYTES};
    ProtobufCMessage *resp = NULL;

    arena_reset(&s->apply_arena);
    const Steadpb__RaftRequest *req = (const Steadpb__RaftRequest *)pb_unpack(
        &steadpb__raft_request__descriptor, &s->apply_arena, e->data);
    if (!req)
        server_die("a log entry cannot be read",
                   "its checksum is right but it is no request of ours");
    int code = apply_request(&x, req, &resp);
    if (is_fatal(code))
        server_die("the store cannot go on",
                   mvcc_damage(s->mvcc)[0] ? mvcc_damage(s->mvcc) : err_text(code));
    mvcc_set_applied(s->mvcc, e->index, e->term);
    if (code == 0) {
        int64_t revision = apply_header(resp)->revision;
        server_header(s, apply_header(resp));
        apply_header(resp)->revision = revision;
        note_effects(s, &x, req);
    }
    answer(s, e, x.answer_too_large ? ERR_LIMIT : code, resp);
}

static void apply_committed(struct server *s, const struct raft_entry *entries, size_t n)
{
    uint64_t begin = server_now_ns(s);

    for (size_t i = 0; i < n; i++) {
        if (entries[i].data.n == 0 || entries[i].type != RAFT_ENTRY_NORMAL)
            mvcc_set_applied(s->mvcc, entries[i].index, entries[i].term);
        else
            apply_entry(s, &entries[i]);
        server_checkpoint_within(s);
    }
    watch_hub_flush(s->watches);
    s->stats.proposals_committed = s->stats.proposals_applied = entries[n - 1].index;
    raft_applied(s->raft, entries[n - 1].index);
    raft_compacted(s->raft, s->durable_applied);
    uint64_t now = server_now_ns(s);
    histogram_observe_ns(&s->apply_seconds, (now - begin));
    server_checkpoint_maybe(s, now);
}
