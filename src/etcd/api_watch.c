#include "etcd/server.h"
#include "etcd/watch_stream.h"

struct watch_state {
    struct watch_stream *stream; /* NULL before the first message */
};

static unsigned create_flags(const Etcdserverpb__WatchCreateRequest *q)
{
    unsigned flags = (q->prev_kv ? WATCH_PREV_KV : 0u) | (q->fragment ? WATCH_FRAGMENT : 0u) |
                     (q->progress_notify ? WATCH_NOTIFY : 0u);

    for (size_t i = 0; i < q->n_filters; i++) {
        if (q->filters[i] == ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT)
            flags |= WATCH_NO_PUT;
        else if (q->filters[i] == ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE)
            flags |= WATCH_NO_DELETE;
    }
    return flags;
}

static void watch_create(struct watch_stream *s, const Etcdserverpb__WatchCreateRequest *q)
{
    struct watch_create create = {
        .key = slice_of(q->key.data, q->key.len),
        .end = slice_of(q->range_end.data, q->range_end.len),
        .start_rev = q->start_revision,
        .id = q->watch_id,
        .flags = create_flags(q),
    };

    watch_stream_create(s, &create);
}

/* The stream of the call, made at its first message; NULL: refused and finished. */
static struct watch_stream *stream_of(struct grpc_call *c)
{
    struct watch_state *state = grpc_call_state(c);
    struct server *server = grpc_call_app(c);

    if (state->stream)
        return state->stream;
    if (slice_eq_str(grpc_call_metadata(c, "hasleader"), "true") &&
        server_read_check(server, false) == ERR_NO_LEADER) {
        grpc_call_fail(c, ERR_NO_LEADER);
        return NULL;
    }
    state->stream = watch_stream_new(server_watches(server), c);
    return state->stream;
}

static void watch_message(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__WatchRequest *q = (const void *)msg;
    struct watch_stream *s = stream_of(c);

    if (!s)
        return;
    switch (q->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        watch_create(s, q->create_request);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        watch_stream_cancel(s, q->cancel_request->watch_id);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
        watch_stream_progress(s);
        break;
    default: /* upstream ignores what it does not know, too */
        break;
    }
}

/* The client may close its half and go on listening: nothing ends. */
static void watch_half_close(struct grpc_call *c)
{
}

static void watch_cancel(struct grpc_call *c)
{
    struct watch_state *state = grpc_call_state(c);

    watch_stream_free(state->stream);
    state->stream = NULL;
}

static void watch_writable(struct grpc_call *c)
{
    struct watch_state *state = grpc_call_state(c);

    if (state->stream)
        watch_stream_writable(state->stream);
}

const struct grpc_method watch_methods[] = {
    {
        .path = "/etcdserverpb.Watch/Watch",
        .request = &etcdserverpb__watch_request__descriptor,
        .client_streaming = true,
        .server_streaming = true,
        .state_size = sizeof(struct watch_state),
        .on_message = watch_message,
        .on_half_close = watch_half_close,
        .on_cancel = watch_cancel,
        .on_writable = watch_writable,
    },
    {.path = NULL},
};
