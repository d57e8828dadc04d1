#include "etcd/watch_hub_impl.h"

/* --- catching up --- */

struct feed {
    struct watch_hub *h;
    struct watcher *w;
    size_t records_max;
    size_t records; /* looked at */
    size_t revs;    /* with events for w */
    int64_t rev;    /* being looked at */
    bool rev_counted;
    int64_t stop_rev; /* first revision not looked at, when stopped */
};

int watch_event_put_prev(struct mvcc *m, struct buf *out, const struct mvcc_event *ev)
{
    struct mvcc_kv prev;

    if (!ev->is_delete && ev->kv.create_rev == ev->kv.mod_rev)
        return watch_wire_event_put(out, ev, NULL);
    int r = mvcc_prev(m, &ev->kv, &prev);
    if (r < 0 && r != ERR_KEY_NOT_FOUND && r != ERR_COMPACTED)
        return r;
    return watch_wire_event_put(out, ev, r == 0 ? &prev : NULL);
}

/* A message ends only between revisions: one is never split over two messages. */
static bool feed_full(const struct feed *f)
{
    return f->records >= f->records_max || f->revs >= WATCH_CATCHUP_REVS ||
           f->h->feed_buf.n >= WATCH_CATCHUP_BYTES;
}

static int feed_event(void *ctx, const struct mvcc_event *ev)
{
    struct feed *f = ctx;
    struct watch_hub *h = f->h;

    if (ev->kv.mod_rev != f->rev) {
        if (feed_full(f)) {
            f->stop_rev = ev->kv.mod_rev;
            return 1;
        }
        f->rev = ev->kv.mod_rev;
        f->rev_counted = false;
    }
    f->records++;
    if (!watcher_wants(f->w, ev) || !watch_key_holds(&f->w->key, ev->kv.key))
        return 0;
    if (!f->rev_counted)
        f->revs++;
    f->rev_counted = true;
    size_t at = h->feed_buf.n;
    int r = f->w->flags & WATCH_PREV_KV ? watch_event_put_prev(h->conf.mvcc, &h->feed_buf, ev)
                                        : watch_wire_event_put(&h->feed_buf, ev, NULL);
    if (r < 0)
        return r;
    *vec_push(&h->feed_at) = (struct watch_span){at, h->feed_buf.n - at};
    return 0;
}

/* Canceled with the revision from which on history still stands, header without one: as upstream.
 */
static void cancel_compacted(struct watcher *w, int64_t compact_rev)
{
    struct watch_stream *s = w->stream;
    struct watch_wire_head head = {.watch_id = w->id, .canceled = true, .compact_rev = compact_rev};

    watcher_free(w);
    watch_send_head(s, 0, &head);
}

static bool feed_send(struct feed *f, int64_t now_rev)
{
    struct watch_hub *h = f->h;
    struct watch_wire_header header;

    if (!h->feed_at.n)
        return true;
    h->parts.n = 0;
    vec_push(&h->parts);
    for (size_t i = 0; i < h->feed_at.n; i++)
        *vec_push(&h->parts) = slice_of(h->feed_buf.p + h->feed_at.v[i].at, h->feed_at.v[i].n);
    watch_header(h, now_rev, &header);
    return watch_deliver(f->w, &header, h->parts.v, h->parts.n - 1);
}

static void feed_clear(struct watch_hub *h)
{
    buf_clear(&h->feed_buf);
    buf_shrink(&h->feed_buf, WATCH_SCRATCH_KEEP);
    vec_shrink(&h->feed_at);
    vec_shrink(&h->parts);
}

static void budget_take(struct watch_budget *b, size_t records, size_t bytes)
{
    b->records -= MIN(b->records, records);
    b->bytes -= MIN(b->bytes, bytes);
}

void watcher_feed(struct watcher *w, struct watch_budget *budget)
{
    struct watch_stream *s = w->stream;
    struct watch_hub *h = s->hub;
    int64_t now_rev = mvcc_revision(h->conf.mvcc);
    int64_t compact_rev = mvcc_compact_revision(h->conf.mvcc);
    struct feed f = {.h = h, .w = w, .records_max = budget->records};

    assert(w->flags & WATCHER_BEHIND);
    if (w->next_rev < compact_rev) {
        cancel_compacted(w, compact_rev);
        return;
    }
    int r =
        w->next_rev > now_rev ? 0 : mvcc_events(h->conf.mvcc, w->next_rev, now_rev, feed_event, &f);
    budget_take(budget, f.records, h->feed_buf.n);
    if (r < 0) {
        feed_clear(h);
        if (r == ERR_COMPACTED)
            cancel_compacted(w, compact_rev);
        else
            watch_stream_fail(s, r == -ENOBUFS ? ERR_LIMIT : r);
        return;
    }
    if (feed_send(&f, now_rev)) {
        if (r == 1)
            w->next_rev = f.stop_rev;
        else
            watcher_set_synced(w, MAX(w->next_rev, now_rev + 1));
    }
    feed_clear(h);
}

/* One watcher of the stream whose turn it is; both go to the end of their queues. */
static void feed_stream(struct watch_stream *s, struct watch_budget *budget)
{
    if (watch_stream_slow(s)) {
        watch_stream_block(s);
        return;
    }
    struct watcher *w = list_first(&s->behind, struct watcher, link);
    list_del(&w->link);
    list_add_tail(&s->behind, &w->link);
    list_del(&s->feed_link);
    list_add_tail(&s->hub->feed, &s->feed_link);
    watcher_feed(w, budget);
}

static void compact_streams(struct list *streams, int64_t compact_rev)
{
    list_for_each (it, streams) {
        struct watch_stream *s = container_of(it, struct watch_stream, feed_link);
        list_for_each (jt, &s->behind) {
            struct watcher *w = container_of(jt, struct watcher, link);
            if (w->next_rev < compact_rev)
                cancel_compacted(w, compact_rev);
        }
    }
}

void watch_hub_compacted(struct watch_hub *h, int64_t compact_rev)
{
    watch_hub_flush(h);
    compact_streams(&h->feed, compact_rev);
    compact_streams(&h->blocked, compact_rev);
}

/* --- progress --- */

/* The interval and up to a tenth more, so that streams made together do not all speak at once. */
static void notify_schedule(struct watch_stream *s)
{
    struct watch_hub *h = s->hub;
    uint64_t interval = h->conf.progress_interval_ns;

    s->notify_at_ns = h->now_ns + interval + rng_below(&h->rng, interval / 10 + 1);
    h->notify_next_ns = MIN(h->notify_next_ns, s->notify_at_ns);
}

void watch_notify_start(struct watch_stream *s)
{
    notify_schedule(s);
    list_add_tail(&s->hub->notify, &s->notify_link);
}

/* A notice for each watcher that asked for them and had no event since the last tick. */
static void notify_watchers(struct watch_stream *s, struct list *watchers)
{
    int64_t rev = mvcc_revision(s->hub->conf.mvcc);

    list_for_each (it, watchers) {
        struct watcher *w = container_of(it, struct watcher, link);
        if (!(w->flags & WATCH_NOTIFY))
            continue;
        struct watch_wire_head head = {.watch_id = w->id};
        if ((w->flags & WATCHER_NOTIFY_DUE) && watcher_reached(w, rev) && !watch_stream_slow(s))
            watch_send_head(s, rev, &head);
        w->flags |= WATCHER_NOTIFY_DUE;
    }
}

static void notify_step(struct watch_hub *h)
{
    uint64_t next = UINT64_MAX;

    if (h->now_ns < h->notify_next_ns)
        return;
    list_for_each (it, &h->notify) {
        struct watch_stream *s = container_of(it, struct watch_stream, notify_link);
        if (h->now_ns >= s->notify_at_ns) {
            notify_watchers(s, &s->synced);
            notify_watchers(s, &s->behind);
            notify_schedule(s);
        }
        next = MIN(next, s->notify_at_ns);
    }
    /* Looked through at most 64 times an interval, whatever the number of streams. */
    h->notify_next_ns = MAX(next, h->now_ns + h->conf.progress_interval_ns / 64);
}

/* --- the step --- */

bool watch_hub_step(struct watch_hub *h, uint64_t now_ns)
{
    struct watch_budget budget = {WATCH_STEP_RECORDS, WATCH_STEP_BYTES};

    watch_hub_flush(h);
    h->now_ns = now_ns;
    notify_step(h);
    while (!list_empty(&h->feed) && budget.records && budget.bytes) {
        feed_stream(list_first(&h->feed, struct watch_stream, feed_link), &budget);
        budget_take(&budget, WATCH_STEP_PER_WATCHER, 0);
    }
    return !list_empty(&h->feed);
}

bool watch_hub_busy(const struct watch_hub *h)
{
    return !list_empty(&h->feed);
}
