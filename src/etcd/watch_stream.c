#include "etcd/watch_hub_impl.h"

/* Texts of upstream's mvcc and rpctypes; clients show and match them. */
#define REASON_EMPTY_RANGE  "mvcc: watcher range is empty"
#define REASON_DUPLICATE_ID "mvcc: duplicate watch ID provided on the WatchStream"
#define REASON_TOO_MANY     "etcdserver: too many watches on one stream"
/* Watch id of answers that concern no single watcher: refusals, progress of a whole stream. */
#define NO_WATCH_ID (-1)

static_assert(offsetof(struct watcher, id) ==
                  offsetof(struct watcher, stream) + sizeof(struct watch_stream *),
              "stream and id are one key");

struct watch_stream *watch_stream_new(struct watch_hub *h, struct grpc_call *c)
{
    struct watch_stream *s = xcalloc(1, sizeof *s);

    s->hub = h;
    s->call = c;
    list_init(&s->synced);
    list_init(&s->behind);
    list_init(&s->feed_link);
    list_init(&s->notify_link);
    h->nstreams++;
    return s;
}

static void free_watchers(struct list *watchers)
{
    while (!list_empty(watchers))
        watcher_free(list_first(watchers, struct watcher, link));
}

void watch_stream_free(struct watch_stream *s)
{
    if (!s)
        return;
    free_watchers(&s->synced);
    free_watchers(&s->behind);
    assert(s->count == 0 && s->nnotify == 0 && s->nfuture == 0);
    if (s->hub->asking == s)
        s->hub->asking = NULL;
    s->hub->nstreams--;
    free(s);
}

/* What was published before the request is sent before its answer. False: that ended the stream. */
static bool stream_flush(struct watch_stream *s)
{
    struct watch_hub *h = s->hub;

    h->asking = s;
    watch_hub_flush(h);
    return take_ptr(&h->asking) != NULL;
}

static struct watcher *find(const struct watch_stream *s, int64_t id)
{
    struct {
        const struct watch_stream *stream;
        int64_t id;
    } key = {s, id};

    return map_get(&s->hub->ids, slice_of(&key, sizeof key));
}

static void refuse(struct watch_stream *s, const char *reason)
{
    struct watch_wire_head head = {
        .watch_id = NO_WATCH_ID, .created = true, .canceled = true, .reason = reason};

    watch_send_head(s, mvcc_revision(s->hub->conf.mvcc), &head);
}

/* The reason to refuse, or NULL. */
static const char *check(const struct watch_stream *s, const struct watch_create *q)
{
    bool to_the_end = q->end.n == 1 && q->end.p[0] == 0;

    if (q->start_rev < 0)
        return err_text(ERR_COMPACTED);
    if (q->end.n && !to_the_end && slice_cmp(q->key, q->end) >= 0)
        return REASON_EMPTY_RANGE;
    if (q->id && find(s, q->id))
        return REASON_DUPLICATE_ID;
    if (s->count >= WATCH_PER_STREAM_MAX ||
        s->key_bytes + q->key.n + q->end.n > WATCH_STREAM_KEY_BYTES)
        return REASON_TOO_MANY;
    return NULL;
}

/* Numbers from 0 upward, past those the client chose itself. */
static int64_t pick_id(struct watch_stream *s)
{
    while (find(s, s->next_id))
        s->next_id++;
    return s->next_id++;
}

static struct watcher *watcher_new(struct watch_stream *s, const struct watch_create *q)
{
    struct watcher *w = xcalloc(1, sizeof *w + q->key.n + q->end.n);

    memcpy(w->bytes, q->key.p, q->key.n);
    if (q->end.n)
        memcpy(w->bytes + q->key.n, q->end.p, q->end.n);
    w->key.key = slice_of(w->bytes, q->key.n);
    w->key.end = slice_of(w->bytes + q->key.n, q->end.n);
    w->stream = s;
    w->id = q->id ? q->id : pick_id(s);
    w->flags = q->flags;
    list_init(&w->link);
    return w;
}

/* Adds it as synced. */
static void watcher_join(struct watcher *w, int64_t start_rev, int64_t now_rev)
{
    struct watch_stream *s = w->stream;
    struct watch_hub *h = s->hub;

    w->next_rev = MAX(start_rev, now_rev + 1);
    if (start_rev > now_rev) {
        w->flags |= WATCHER_FUTURE;
        s->nfuture++;
    }
    map_put(&h->ids, slice_of(&w->stream, sizeof w->stream + sizeof w->id), w);
    list_add_tail(&s->synced, &w->link);
    watch_index_add(h->index, &w->key);
    s->count++;
    s->key_bytes += w->key.key.n + w->key.end.n;
    h->nwatchers++;
    if (w->flags & WATCH_NOTIFY) {
        w->flags |= WATCHER_NOTIFY_DUE;
        if (s->nnotify++ == 0)
            watch_notify_start(s);
    }
}

void watch_stream_create(struct watch_stream *s, const struct watch_create *request)
{
    struct watch_create q = *request;
    int64_t now_rev = mvcc_revision(s->hub->conf.mvcc);

    if (!stream_flush(s))
        return;
    if (q.key.n == 0)
        q.key = slice_of("", 1); /* "\0", the smallest key */
    const char *reason = check(s, &q);
    if (reason) {
        refuse(s, reason);
        return;
    }
    struct watcher *w = watcher_new(s, &q);
    struct watch_wire_head head = {.watch_id = w->id, .created = true};
    watcher_join(w, q.start_rev, now_rev);
    watch_send_head(s, now_rev, &head);
    if (q.start_rev == 0 || q.start_rev > now_rev)
        return;
    watcher_set_behind(w, q.start_rev);
    struct watch_budget budget = {WATCH_CREATE_RECORDS, WATCH_CATCHUP_BYTES};
    if (!s->blocked && !watch_stream_slow(s))
        watcher_feed(w, &budget);
}

void watch_stream_cancel(struct watch_stream *s, int64_t id)
{
    struct watch_wire_head head = {.watch_id = id, .canceled = true};

    if (!stream_flush(s))
        return;
    struct watcher *w = find(s, id);
    if (!w)
        return;
    watcher_free(w);
    watch_send_head(s, mvcc_revision(s->hub->conf.mvcc), &head);
}

/* Whether every watcher got all up to rev. Those past their start stop counting as future, so that
 * asking often stays cheap. */
static bool all_reached(struct watch_stream *s, int64_t rev)
{
    if (!list_empty(&s->behind))
        return false;
    if (!s->nfuture)
        return true;
    list_for_each (it, &s->synced) {
        if (!watcher_reached(container_of(it, struct watcher, link), rev))
            return false;
    }
    return true;
}

void watch_stream_progress(struct watch_stream *s)
{
    int64_t rev = mvcc_revision(s->hub->conf.mvcc);
    struct watch_wire_head head = {.watch_id = NO_WATCH_ID};

    if (!stream_flush(s))
        return;
    if (s->count == 0 || watch_stream_slow(s) || !all_reached(s, rev))
        return;
    watch_send_head(s, rev, &head);
}

void watch_stream_writable(struct watch_stream *s)
{
    if (!s->blocked)
        return;
    s->blocked = false;
    if (!list_empty(&s->behind)) {
        list_del(&s->feed_link);
        list_add_tail(&s->hub->feed, &s->feed_link);
    }
}
