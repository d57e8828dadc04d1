#include "etcd/fake_etcd.h"
#include "wire/limits.h"

#define MESSAGES_MAX 4096 /* decoded or handed in, in one call */

struct grpc_call {
    struct server *app;
    const struct grpc_method *method;
    struct arena arena;
    void *state;
    size_t queued;
    bool discard, finished;
    int status;
    char *text;
    const char *meta_name, *meta_value;
    struct slice *sent; /* owned copies */
    size_t nsent, cap, next;
    ProtobufCMessage *messages[MESSAGES_MAX];
    size_t nmessages;
    uint8_t *raws[MESSAGES_MAX];
    size_t nraws;
};

struct grpc_call *fake_call(struct server *s, const struct grpc_method *table, const char *path)
{
    struct grpc_call *c = xcalloc(1, sizeof *c);

    while (table->path && strcmp(table->path, path))
        table++;
    assert(table->path);
    c->app = s;
    c->method = table;
    c->state = xcalloc(1, table->state_size + 1);
    arena_init(&c->arena, LIMIT_ARENA_BYTES);
    return c;
}

void fake_call_free(struct grpc_call *c)
{
    for (size_t i = 0; i < c->nsent && !c->discard; i++)
        free((void *)(uintptr_t)c->sent[i].p);
    for (size_t i = 0; i < c->nmessages; i++)
        protobuf_c_message_free_unpacked(c->messages[i], NULL);
    for (size_t i = 0; i < c->nraws; i++)
        free(c->raws[i]);
    arena_deinit(&c->arena);
    free(c->sent);
    free(c->text);
    free(c->state);
    free(c);
}

void fake_call_metadata(struct grpc_call *c, const char *name, const char *value)
{
    c->meta_name = name;
    c->meta_value = value;
}

static const ProtobufCMessage *decode(struct grpc_call *c, const ProtobufCMessageDescriptor *d,
                                      struct slice in)
{
    assert(c->nmessages < MESSAGES_MAX);
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, in.n, in.p);
    assert(m);
    return c->messages[c->nmessages++] = m;
}

void fake_message(struct grpc_call *c, const ProtobufCMessage *msg)
{
    size_t n = protobuf_c_message_get_packed_size(msg);
    uint8_t *raw = xmalloc(n + 1);

    assert(!c->finished && c->nraws < MESSAGES_MAX);
    protobuf_c_message_pack(msg, raw);
    c->raws[c->nraws++] = raw;
    c->method->on_message(c, decode(c, c->method->request, slice_of(raw, n)), slice_of(raw, n));
}

/* The state is overwritten, so that a late touch is seen. */
static void end(struct grpc_call *c, int status, const char *text)
{
    assert(!c->finished);
    c->finished = true;
    c->status = status;
    c->text = text ? xstrdup(text) : NULL;
    memset(c->state, 0xa5, c->method->state_size);
}

void fake_cancel(struct grpc_call *c)
{
    assert(!c->finished);
    if (c->method->on_cancel)
        c->method->on_cancel(c);
    end(c, GRPC_CANCELED, NULL);
}

void fake_set_queued(struct grpc_call *c, size_t bytes)
{
    bool drained = c->queued >= GRPC_LOW_WATER && bytes < GRPC_LOW_WATER;

    c->queued = bytes;
    if (drained && c->method->on_writable)
        c->method->on_writable(c);
}

void fake_call_discard(struct grpc_call *c)
{
    c->discard = true;
}

size_t fake_sent(const struct grpc_call *c)
{
    return c->nsent;
}

struct slice fake_sent_bytes(const struct grpc_call *c, size_t i)
{
    return c->sent[i];
}

const ProtobufCMessage *fake_next(struct grpc_call *c, const ProtobufCMessageDescriptor *d)
{
    return c->next < c->nsent ? decode(c, d, c->sent[c->next++]) : NULL;
}

bool fake_finished(const struct grpc_call *c)
{
    return c->finished;
}

int fake_status(const struct grpc_call *c)
{
    return c->status;
}

const char *fake_text(const struct grpc_call *c)
{
    return c->text;
}

/* --- what wire/grpc.h promises --- */

void *grpc_call_app(const struct grpc_call *c)
{
    return c->app;
}

void *grpc_call_state(struct grpc_call *c)
{
    return c->state;
}

struct arena *grpc_call_arena(struct grpc_call *c)
{
    return &c->arena;
}

struct slice grpc_call_metadata(const struct grpc_call *c, const char *name)
{
    if (c->meta_name && !strcmp(name, c->meta_name))
        return slice_str(c->meta_value);
    return SLICE_EMPTY;
}

size_t grpc_call_queued(const struct grpc_call *c)
{
    return c->queued;
}

int grpc_call_send_parts(struct grpc_call *c, const struct slice *parts, size_t nparts)
{
    size_t n = 0;

    assert(!c->finished);
    for (size_t i = 0; i < nparts; i++)
        n += parts[i].n;
    if (c->discard) {
        c->nsent++;
        return 0;
    }
    uint8_t *bytes = xmalloc(n + 1), *p = bytes;
    for (size_t i = 0; i < nparts; i++) {
        if (parts[i].n)
            memcpy(p, parts[i].p, parts[i].n);
        p += parts[i].n;
    }
    if (c->nsent == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 16;
        c->sent = xrealloc(c->sent, c->cap * sizeof *c->sent);
    }
    c->sent[c->nsent++] = slice_of(bytes, n);
    c->queued += n;
    return 0;
}

int grpc_call_send(struct grpc_call *c, const ProtobufCMessage *msg)
{
    size_t n = protobuf_c_message_get_packed_size(msg);
    cleanup_free uint8_t *bytes = xmalloc(n + 1);

    protobuf_c_message_pack(msg, bytes);
    struct slice part = slice_of(bytes, n);
    return grpc_call_send_parts(c, &part, 1);
}

void grpc_call_finish(struct grpc_call *c, int grpc_status, const char *text)
{
    end(c, grpc_status, text);
}

void grpc_call_reply(struct grpc_call *c, const ProtobufCMessage *msg)
{
    grpc_call_send(c, msg);
    end(c, GRPC_OK, NULL);
}

void grpc_call_fail(struct grpc_call *c, int code)
{
    end(c, err_grpc(code), err_text(code));
}
