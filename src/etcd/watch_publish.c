#include "etcd/watch_hub_impl.h"

struct publish {
    struct watch_hub *h;
    const struct mvcc_event *ev;
    size_t n;
    int64_t rev;
    struct watch_wire_header header; /* the same for all */
    size_t i;                        /* the event being matched */
    bool need_plain, need_full;
};

static void match_watcher(void *ctx, struct watch_key *k)
{
    struct publish *p = ctx;
    struct watch_hub *h = p->h;
    struct watcher *w = container_of(k, struct watcher, key);

    if (p->rev < w->next_rev || !watcher_wants(w, &p->ev[p->i]))
        return;
    if (!w->touch) {
        *vec_push(&h->touched) = (struct watch_touched){.w = w};
        w->touch = (uint32_t)h->touched.n;
    }
    if (h->hits.n == WATCH_HITS_MAX) {
        w->flags |= WATCHER_OVERFLOW;
        return;
    }
    struct watch_touched *t = &h->touched.v[w->touch - 1];
    *vec_push(&h->hits) = (struct watch_hit){.event = (uint32_t)p->i};
    uint32_t hit = (uint32_t)h->hits.n;
    if (t->last)
        h->hits.v[t->last - 1].next = hit;
    else
        t->first = hit;
    t->last = hit;
    if (w->flags & WATCH_PREV_KV)
        p->need_full = true;
    else
        p->need_plain = true;
}

static void match_local(void *ctx, struct watch_key *k)
{
    struct publish *p = ctx;

    *vec_push(&p->h->local_hits) =
        (struct watch_local_hit){container_of(k, struct watch_local, key), (uint32_t)p->i};
}

/* Events that no watcher of the kind hit are left as empty spans. */
static int encode_plain(struct publish *p)
{
    struct watch_hub *h = p->h;

    for (size_t i = 0; i < p->n; i++) {
        struct watch_span *s = &h->plain_at.v[i];
        if (!s->n)
            continue;
        s->at = h->plain.n;
        int r = watch_wire_event_put(&h->plain, &p->ev[i], NULL);
        if (r < 0)
            return r;
        s->n = h->plain.n - s->at;
    }
    return 0;
}

static int encode_full(struct publish *p)
{
    struct watch_hub *h = p->h;

    for (size_t i = 0; i < p->n; i++) {
        struct watch_span *s = &h->full_at.v[i];
        if (!s->n)
            continue;
        s->at = h->full.n;
        int r = watch_event_put_prev(h->conf.mvcc, &h->full, &p->ev[i]);
        if (r < 0)
            return r;
        s->n = h->full.n - s->at;
    }
    return 0;
}

/* Marks (n = 1) the events that are to be encoded, of each kind. */
static void mark_spans(struct publish *p)
{
    struct watch_hub *h = p->h;

    h->plain_at.n = h->full_at.n = 0;
    for (size_t i = 0; i < p->n; i++) {
        *vec_push(&h->plain_at) = (struct watch_span){0, 0};
        *vec_push(&h->full_at) = (struct watch_span){0, 0};
    }
    for (size_t i = 0; i < h->touched.n; i++) {
        struct watch_touched *t = &h->touched.v[i];
        struct watch_span *spans = t->w->flags & WATCH_PREV_KV ? h->full_at.v : h->plain_at.v;
        for (uint32_t hit = t->first; hit; hit = h->hits.v[hit - 1].next)
            spans[h->hits.v[hit - 1].event].n = 1;
    }
}

static void publish_to(struct publish *p, struct watch_touched *t, bool encoded)
{
    struct watch_hub *h = p->h;
    struct watcher *w = t->w;

    w->touch = 0;
    if (watch_stream_slow(w->stream))
        watch_stream_block(w->stream);
    if (!encoded || w->stream->blocked || (w->flags & WATCHER_OVERFLOW)) {
        w->flags &= ~(uint32_t)WATCHER_OVERFLOW;
        watcher_set_behind(w, p->rev);
        return;
    }
    bool full = w->flags & WATCH_PREV_KV;
    const struct watch_span *spans = full ? h->full_at.v : h->plain_at.v;
    const uint8_t *bytes = full ? h->full.p : h->plain.p;
    h->parts.n = 0;
    vec_push(&h->parts);
    for (uint32_t hit = t->first; hit; hit = h->hits.v[hit - 1].next) {
        const struct watch_span *s = &spans[h->hits.v[hit - 1].event];
        *vec_push(&h->parts) = slice_of(bytes + s->at, s->n);
    }
    w->next_rev = p->rev + 1;
    watch_deliver(w, &p->header, h->parts.v, h->parts.n - 1);
}

static void publish_streams(struct publish *p)
{
    struct watch_hub *h = p->h;

    if (!watch_index_count(h->index))
        return;
    for (p->i = 0; p->i < p->n; p->i++)
        watch_index_match(h->index, p->ev[p->i].kv.key, match_watcher, p);
    if (!h->touched.n)
        return;
    watch_header(h, p->rev, &p->header);
    mark_spans(p);
    bool encoded =
        (!p->need_plain || encode_plain(p) == 0) && (!p->need_full || encode_full(p) == 0);
    for (size_t i = 0; i < h->touched.n; i++) {
        if (h->touched.v[i].w)
            publish_to(p, &h->touched.v[i], encoded);
    }
    vec_shrink(&h->hits);
    vec_shrink(&h->touched);
    vec_shrink(&h->plain_at);
    vec_shrink(&h->full_at);
    vec_shrink(&h->parts);
    buf_clear(&h->plain);
    buf_clear(&h->full);
    buf_shrink(&h->plain, WATCH_SCRATCH_KEEP);
    buf_shrink(&h->full, WATCH_SCRATCH_KEEP);
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
