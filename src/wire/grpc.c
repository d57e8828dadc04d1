#include "wire/grpc_internal.h"

struct grpc_methods *grpc_methods_new(void *app)
{
    static const uint64_t seed[2]; /* the keys are our own */
    struct grpc_methods *m = xcalloc(1, sizeof *m);

    m->app = app;
    map_init(&m->by_path, seed);
    map_init(&m->services, seed);
    list_init(&m->entries);
    list_init(&m->idle_calls);
    arena_init(&m->scratch, LIMIT_ARENA_BYTES);
    return m;
}

void grpc_methods_free(struct grpc_methods *m)
{
    if (!m)
        return;
    call_pool_free(m);
    list_for_each (it, &m->entries)
        free(container_of(it, struct method_entry, node));
    map_deinit(&m->by_path);
    map_deinit(&m->services);
    arena_deinit(&m->scratch);
    free(m);
}

/* "/service/method" to "service"; empty when the path has not this form. */
static struct slice service_of(struct slice path)
{
    const uint8_t *slash = path.n > 1 ? memrchr(path.p + 1, '/', path.n - 1) : NULL;

    if (!slash || path.p[0] != '/')
        return SLICE_EMPTY;
    return slice_of(path.p + 1, (size_t)(slash - path.p) - 1);
}

void grpc_methods_add(struct grpc_methods *m, const struct grpc_method *table)
{
    for (; table->path; table++) {
        struct slice path = slice_str(table->path);
        struct method_entry *e = xcalloc(1, sizeof *e);

        assert(table->request && table->on_message && service_of(path).n > 0);
        e->stats.method = table;
        list_add_tail(&m->entries, &e->node);
        assert(!map_get(&m->by_path, path));
        map_put(&m->by_path, path, e);
        map_put(&m->services, service_of(path), e);
    }
}

void grpc_methods_stats(const struct grpc_methods *m,
                        void (*cb)(void *ctx, const struct grpc_method_stats *s), void *ctx)
{
    list_for_each (it, &m->entries)
        cb(ctx, &container_of(it, struct method_entry, node)->stats);
}

uint64_t grpc_methods_bytes_received(const struct grpc_methods *m)
{
    return m->bytes_received;
}

uint64_t grpc_methods_bytes_sent(const struct grpc_methods *m)
{
    return m->bytes_sent;
}

size_t grpc_methods_unary_open(const struct grpc_methods *m)
{
    return m->unary_open;
}

int grpc_unknown_path(const struct grpc_methods *m, struct slice path, char *ret_text, size_t size)
{
    struct slice service = service_of(path);

    if (service.n == 0)
        return snprintf(ret_text, size, "malformed method name: \"%.*s\"", (int)path.n,
                        (const char *)path.p);
    if (!m || !map_get(&m->services, service))
        return snprintf(ret_text, size, "unknown service %.*s", (int)service.n,
                        (const char *)service.p);
    struct slice method = slice_skip(path, service.n + 2);
    return snprintf(ret_text, size, "unknown method %.*s for service %.*s", (int)method.n,
                    (const char *)method.p, (int)service.n, (const char *)service.p);
}

/*
 * Queries of a call.
 */

void *grpc_call_app(const struct grpc_call *c)
{
    return c->conn->conf->methods->app;
}

void *grpc_call_state(struct grpc_call *c)
{
    return c->state;
}

struct arena *grpc_call_arena(struct grpc_call *c)
{
    return &c->arena;
}

const struct grpc_method *grpc_call_method(const struct grpc_call *c)
{
    return c->m;
}

struct slice grpc_call_metadata(const struct grpc_call *c, const char *name)
{
    for (size_t i = 0; i < c->nmetadata; i++)
        if (slice_eq_str(c->metadata[i].name, name))
            return c->metadata[i].value;
    return SLICE_EMPTY;
}

size_t grpc_call_queued(const struct grpc_call *c)
{
    return c->stream ? http2_stream_queued(c->stream) : 0;
}
