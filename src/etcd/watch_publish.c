#include "etcd/watch_hub_impl.h"

/* --- gathering --- */

struct publish {
    struct watch_hub *h;
    const struct mvcc_event *ev;
    size_t n;
    int64_t rev;
    size_t i;       /* the event being matched */
    uint32_t place; /* 1 + its place in hub->gathered; 0: nobody was hit yet */
};

/* Encodes the event in the form asked for, once. False: it cannot be had now. */
static bool gather_event(struct publish *p, bool full)
{
    struct watch_hub *h = p->h;
    const struct mvcc_event *ev = &p->ev[p->i];

    if (!p->place) {
        *vec_push(&h->gathered) = (struct watch_gathered){.rev = p->rev};
        p->place = (uint32_t)h->gathered.n;
    }
    struct watch_gathered *g = &h->gathered.v[p->place - 1];
    struct watch_span *span = full ? &g->full : &g->plain;
    struct buf *out = full ? &h->full : &h->plain;
    if (span->n)
        return true;
    size_t at = out->n;
    int r =
        full ? watch_event_put_prev(h->conf.mvcc, out, ev) : watch_wire_event_put(out, ev, NULL);
    if (r < 0)
        return false;
    *span = (struct watch_span){at, out->n - at};
    return true;
}

static struct watch_touched *touch(struct watch_hub *h, struct watcher *w)
{
    if (!w->touch) {
        *vec_push(&h->touched) = (struct watch_touched){.w = w};
        w->touch = (uint32_t)h->touched.n;
    }
    return &h->touched.v[w->touch - 1];
}

static void match_watcher(void *ctx, struct watch_key *k)
{
    struct publish *p = ctx;
    struct watch_hub *h = p->h;
    struct watcher *w = container_of(k, struct watcher, key);

    if (p->rev < w->next_rev || !watcher_wants(w, &p->ev[p->i]))
        return;
    struct watch_touched *t = touch(h, w);
    if (t->behind_rev)
        return;
    if (h->hits.n >= WATCH_GATHER_HITS + WATCH_HITS_MAX ||
        !gather_event(p, w->flags & WATCH_PREV_KV)) {
        t->behind_rev = p->rev;
        return;
    }
    *vec_push(&h->hits) = (struct watch_hit){.event = p->place - 1};
    uint32_t hit = (uint32_t)h->hits.n;
    if (t->last)
        h->hits.v[t->last - 1].next = hit;
    else
        t->first = hit;
    t->last = hit;
}

/* About what the write takes when encoded. */
static size_t write_bytes(const struct publish *p)
{
    size_t n = p->n * WATCH_EVENT_OVERHEAD;

    for (size_t i = 0; i < p->n; i++)
        n += p->ev[i].kv.key.n + p->ev[i].kv.value.n;
    return n;
}

static void publish_streams(struct publish *p)
{
    struct watch_hub *h = p->h;

    if (!watch_index_count(h->index))
        return;
    if (h->hits.n && h->plain.n + h->full.n + write_bytes(p) > WATCH_GATHER_BYTES)
        watch_hub_flush(h);
    for (p->i = 0; p->i < p->n; p->i++) {
        p->place = 0;
        watch_index_match(h->index, p->ev[p->i].kv.key, match_watcher, p);
    }
    if (h->hits.n > WATCH_GATHER_HITS)
        watch_hub_flush(h);
}

/* --- flushing --- */

struct flush {
    struct watch_hub *h;
    struct watch_wire_header header; /* most messages of a flush have the same */
    int64_t header_rev;              /* the header's; 0: there is none yet */
};

static const struct watch_wire_header *flush_header(struct flush *f, int64_t rev)
{
    if (f->header_rev != rev)
        watch_header(f->h, rev, &f->header);
    f->header_rev = rev;
    return &f->header;
}

/* The events of t in hub->parts, behind the head's place, and the revision of the last one; 0:
 * there are none. Events of a revision that did not fit whole are left out. */
static int64_t collect(struct watch_hub *h, const struct watch_touched *t)
{
    bool full = t->w->flags & WATCH_PREV_KV;
    const uint8_t *bytes = full ? h->full.p : h->plain.p;
    int64_t rev = 0;

    h->parts.n = 0;
    vec_push(&h->parts);
    for (uint32_t hit = t->first; hit; hit = h->hits.v[hit - 1].next) {
        const struct watch_gathered *g = &h->gathered.v[h->hits.v[hit - 1].event];
        const struct watch_span *s = full ? &g->full : &g->plain;
        if (g->rev == t->behind_rev)
            break;
        *vec_push(&h->parts) = slice_of(bytes + s->at, s->n);
        rev = g->rev;
    }
    return rev;
}

static int64_t first_rev(const struct watch_hub *h, const struct watch_touched *t)
{
    return t->first ? h->gathered.v[h->hits.v[t->first - 1].event].rev : t->behind_rev;
}

static void flush_watcher(struct flush *f, const struct watch_touched *t)
{
    struct watch_hub *h = f->h;
    struct watcher *w = t->w;

    w->touch = 0;
    if (watch_stream_slow(w->stream))
        watch_stream_block(w->stream);
    if (w->stream->blocked) {
        watcher_set_behind(w, first_rev(h, t));
        return;
    }
    int64_t rev = collect(h, t);
    if (rev) {
        w->next_rev = rev + 1;
        if (!watch_deliver(w, flush_header(f, rev), h->parts.v, h->parts.n - 1))
            return;
    }
    if (t->behind_rev)
        watcher_set_behind(w, t->behind_rev);
}

void watch_hub_flush(struct watch_hub *h)
{
    struct flush f = {.h = h};

    if (!h->touched.n)
        return;
    for (size_t i = 0; i < h->touched.n; i++) {
        if (h->touched.v[i].w)
            flush_watcher(&f, &h->touched.v[i]);
    }
    vec_shrink(&h->gathered);
    vec_shrink(&h->hits);
    vec_shrink(&h->touched);
    vec_shrink(&h->parts);
    buf_clear(&h->plain);
    buf_clear(&h->full);
    buf_shrink(&h->plain, WATCH_SCRATCH_KEEP);
    buf_shrink(&h->full, WATCH_SCRATCH_KEEP);
}

/* --- local watchers --- */

static void match_local(void *ctx, struct watch_key *k)
{
    struct publish *p = ctx;

    *vec_push(&p->h->local_hits) =
        (struct watch_local_hit){container_of(k, struct watch_local, key), (uint32_t)p->i};
}

/* Matches first and calls then, so that on_event may add and remove watchers. */
static void publish_locals(struct publish *p)
{
    struct watch_hub *h = p->h;

    if (!watch_index_count(h->local_index))
        return;
    for (p->i = 0; p->i < p->n; p->i++)
        watch_index_match(h->local_index, p->ev[p->i].kv.key, match_local, p);
    for (size_t i = 0; i < h->local_hits.n; i++) {
        struct watch_local_hit hit = h->local_hits.v[i];
        if (hit.w)
            hit.w->on_event(hit.w, &p->ev[hit.event]);
    }
    vec_shrink(&h->local_hits);
}

void watch_hub_publish(struct watch_hub *h, const struct mvcc_event *ev, size_t n, int64_t rev)
{
    struct publish p = {.h = h, .ev = ev, .n = n, .rev = rev};

    assert(!h->publishing);
    h->publishing = true;
    publish_streams(&p);
    publish_locals(&p);
    h->publishing = false;
}
