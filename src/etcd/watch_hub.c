#include "etcd/watch_hub_impl.h"

#include "etcd/server.h"
#include "wire/limits.h"

/* --- life cycle --- */

struct watch_hub *watch_hub_new(const struct watch_hub_conf *c)
{
    struct watch_hub *h = xcalloc(1, sizeof *h);

    assert(c->mvcc && c->progress_interval_ns > 0 && c->fragment_bytes > 0);
    h->conf = *c;
    h->index = watch_index_new(c->seed);
    h->local_index = watch_index_new(c->seed);
    map_init(&h->ids, c->seed);
    list_init(&h->feed);
    list_init(&h->blocked);
    list_init(&h->notify);
    h->notify_next_ns = UINT64_MAX;
    rng_seed(&h->rng, c->seed[0] ^ c->seed[1]);
    buf_init(&h->plain, LIMIT_RESPONSE_BYTES);
    buf_init(&h->full, LIMIT_RESPONSE_BYTES);
    buf_init(&h->feed_buf, LIMIT_RESPONSE_BYTES);
    return h;
}

void watch_hub_free(struct watch_hub *h)
{
    if (!h)
        return;
    assert(h->nstreams == 0 && h->nwatchers == 0); /* calls end before the hub */
    watch_index_free(h->index);
    watch_index_free(h->local_index);
    map_deinit(&h->ids);
    buf_deinit(&h->plain);
    buf_deinit(&h->full);
    buf_deinit(&h->feed_buf);
    free(h->hits.v);
    free(h->touched.v);
    free(h->local_hits.v);
    free(h->gathered.v);
    free(h->parts.v);
    free(h->feed_at.v);
    free(h);
}

void watch_hub_stats(const struct watch_hub *h, struct watch_hub_stats *ret)
{
    *ret = (struct watch_hub_stats){
        .watchers = h->nwatchers,
        .streams = h->nstreams,
        .slow_watchers = h->nbehind,
        .pending_events = h->hits.n,
        .events = h->events,
    };
}

/* --- watchers --- */

void watcher_free(struct watcher *w)
{
    struct watch_stream *s = w->stream;
    struct watch_hub *h = s->hub;

    if (w->flags & WATCHER_BEHIND)
        h->nbehind--;
    else
        watch_index_remove(h->index, &w->key);
    if (w->flags & WATCHER_FUTURE)
        s->nfuture--;
    if ((w->flags & WATCH_NOTIFY) && --s->nnotify == 0)
        list_del(&s->notify_link);
    if (w->touch)
        h->touched.v[w->touch - 1].w = NULL;
    list_del(&w->link);
    if (list_empty(&s->behind))
        list_del(&s->feed_link);
    map_remove(&h->ids, slice_of(&w->stream, sizeof w->stream + sizeof w->id));
    s->count--;
    s->key_bytes -= w->key.key.n + w->key.end.n;
    h->nwatchers--;
    free(w);
}

static void clear_future(struct watcher *w)
{
    if (!(w->flags & WATCHER_FUTURE))
        return;
    w->flags &= ~(uint32_t)WATCHER_FUTURE;
    w->stream->nfuture--;
}

void watcher_set_behind(struct watcher *w, int64_t next_rev)
{
    struct watch_stream *s = w->stream;
    struct watch_hub *h = s->hub;

    assert(!(w->flags & WATCHER_BEHIND));
    watch_index_remove(h->index, &w->key);
    clear_future(w);
    w->flags |= WATCHER_BEHIND;
    w->next_rev = next_rev;
    h->nbehind++;
    list_del(&w->link);
    if (list_empty(&s->behind))
        list_add_tail(s->blocked ? &h->blocked : &h->feed, &s->feed_link);
    list_add_tail(&s->behind, &w->link);
}

void watcher_set_synced(struct watcher *w, int64_t next_rev)
{
    struct watch_stream *s = w->stream;

    assert(w->flags & WATCHER_BEHIND);
    w->flags &= ~(uint32_t)WATCHER_BEHIND;
    w->next_rev = next_rev;
    s->hub->nbehind--;
    list_del(&w->link);
    list_add_tail(&s->synced, &w->link);
    if (list_empty(&s->behind))
        list_del(&s->feed_link);
    watch_index_add(s->hub->index, &w->key);
}

bool watcher_reached(struct watcher *w, int64_t rev)
{
    if (w->flags & WATCHER_BEHIND)
        return false;
    if (w->next_rev <= rev)
        clear_future(w);
    return !(w->flags & WATCHER_FUTURE);
}

bool watcher_wants(const struct watcher *w, const struct mvcc_event *ev)
{
    return !(w->flags & (ev->is_delete ? WATCH_NO_DELETE : WATCH_NO_PUT));
}

/* --- sending --- */

bool watch_stream_slow(const struct watch_stream *s)
{
    return grpc_call_queued(s->call) > WATCH_QUEUE_MAX;
}

void watch_stream_block(struct watch_stream *s)
{
    if (s->blocked)
        return;
    s->blocked = true;
    if (!list_empty(&s->behind)) {
        list_del(&s->feed_link);
        list_add_tail(&s->hub->blocked, &s->feed_link);
    }
}

void watch_stream_fail(struct watch_stream *s, int code)
{
    struct grpc_call *c = s->call;

    watch_stream_free(s);
    grpc_call_fail(c, code);
}

void watch_header(const struct watch_hub *h, int64_t rev, struct watch_wire_header *ret)
{
    Etcdserverpb__ResponseHeader now = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    if (h->conf.server)
        server_header(h->conf.server, &now);
    watch_wire_header_set(ret, now.cluster_id, now.member_id, rev, now.raft_term);
}

static bool send_parts(struct watch_stream *s, const struct slice *parts, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += parts[i].n;
    if (bytes > LIMIT_RESPONSE_BYTES) {
        watch_stream_fail(s, ERR_LIMIT);
        return false;
    }
    /* Any other failure is the connection's end, which on_cancel tells. */
    grpc_call_send_parts(s->call, parts, n);
    return true;
}

void watch_send_head(struct watch_stream *s, int64_t header_rev, struct watch_wire_head *head)
{
    struct watch_wire_header header;
    uint8_t bytes[WATCH_HEAD_MAX];

    watch_header(s->hub, header_rev, &header);
    head->header = &header;
    struct slice part = slice_of(bytes, watch_wire_head_put(bytes, head));
    grpc_call_send_parts(s->call, &part, 1);
}

/* Neighbours in memory become one part: a watcher of a whole write gets two parts. */
static size_t merge_parts(struct slice *parts, size_t n)
{
    size_t out = 0;

    for (size_t i = 0; i < n; i++) {
        if (out && parts[out - 1].p + parts[out - 1].n == parts[i].p)
            parts[out - 1].n += parts[i].n;
        else
            parts[out++] = parts[i];
    }
    return out;
}

static bool send_events(struct watcher *w, struct watch_wire_head *head, struct slice *parts,
                        size_t n)
{
    uint8_t bytes[WATCH_HEAD_MAX];

    n = merge_parts(parts + 1, n);
    parts[0] = slice_of(bytes, watch_wire_head_put(bytes, head));
    return send_parts(w->stream, parts, n + 1);
}

/* As upstream's sendFragments: a message takes events while it stays below the bound, at least one;
 * all but the last say that more comes. */
static bool send_fragments(struct watcher *w, struct watch_wire_head *head, struct slice *parts,
                           size_t n)
{
    uint8_t bytes[WATCH_HEAD_MAX];
    size_t max = w->stream->hub->conf.fragment_bytes;

    head->fragment = true;
    size_t head_bytes = watch_wire_head_put(bytes, head);
    for (size_t done = 0; done < n;) {
        size_t take = 1, size = head_bytes + parts[1 + done].n;
        while (done + take < n && size + parts[1 + done + take].n < max)
            size += parts[1 + done + take++].n;
        head->fragment = done + take < n;
        /* The place before the events taken is used up already, or the head's own. */
        if (!send_events(w, head, parts + done, take))
            return false;
        done += take;
    }
    return true;
}

bool watch_deliver(struct watcher *w, const struct watch_wire_header *header, struct slice *parts,
                   size_t n)
{
    struct watch_wire_head head = {.header = header, .watch_id = w->id};

    w->stream->hub->events += n;
    w->flags &= ~(uint32_t)WATCHER_NOTIFY_DUE;
    clear_future(w);
    if (w->flags & WATCH_FRAGMENT)
        return send_fragments(w, &head, parts, n);
    return send_events(w, &head, parts, n);
}

/* --- local watchers --- */

void watch_hub_add_local(struct watch_hub *h, struct watch_local *w)
{
    watch_index_add(h->local_index, &w->key);
}

void watch_hub_remove_local(struct watch_hub *h, struct watch_local *w)
{
    watch_index_remove(h->local_index, &w->key);
    for (size_t i = 0; i < h->local_hits.n; i++) {
        if (h->local_hits.v[i].w == w)
            h->local_hits.v[i].w = NULL;
    }
}
