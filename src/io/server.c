#include "io/server.h"

#include <netdb.h>

#include "io/server_internal.h"

#define BACKLOG     1024
#define SWEEP_MS    250 /* all timers of connections; deadlines are kept this exactly */
#define REQUEST_MAX (LIMIT_REQUEST_BYTES + LIMIT_GRPC_OVERHEAD)

struct listener {
    struct io_server *server;
    struct list node;
    uv_tcp_t tcp;
    struct tls_context *tls;
};

/*
 * Turns of the loop. In the poll phase callbacks read, feed and mark connections dirty; after it,
 * the check phase calls on_turn once and then writes each dirty connection once. What timers dirty
 * is written in the prepare phase, before the loop waits again.
 */

static void on_idle(uv_idle_t *idle)
{
    /* Its being active keeps the loop from waiting; check does the work. */
}

void server_conn_dirty(struct conn *c)
{
    if (list_empty(&c->dirty) && c->state != CONN_CLOSED)
        list_add_tail(&c->server->dirty, &c->dirty);
}

static void flush_dirty(struct io_server *s)
{
    struct list todo = LIST_INIT(todo);

    /* A list of its own: what gets dirty while flushing has its turn in the next one. */
    list_splice_tail(&todo, &s->dirty);
    while (!list_empty(&todo)) {
        struct conn *c = list_first(&todo, struct conn, dirty);
        list_del(&c->dirty);
        conn_flush(c);
    }
    if (list_empty(&s->dirty))
        uv_idle_stop(&s->idle);
    else
        uv_idle_start(&s->idle, on_idle);
}

static void turn(struct io_server *s)
{
    list_for_each (it, &s->dirty)
        conn_resume(container_of(it, struct conn, dirty));
    if (s->received && s->conf.on_turn)
        s->conf.on_turn(s->conf.turn_ctx);
    s->received = false;
    flush_dirty(s);
}

static void on_check(uv_check_t *check)
{
    turn(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct io_server *s = prepare->data;

    if (!list_empty(&s->dirty))
        turn(s);
}

static void on_sweep(uv_timer_t *timer)
{
    struct io_server *s = timer->data;
    uint64_t now_ns = server_now_ns(s);

    list_for_each (it, &s->conns) {
        struct conn *c = container_of(it, struct conn, node);
        if (s->stopping && now_ns >= s->stop_ns)
            conn_close(c);
        else
            conn_tick(c, now_ns);
    }
}

/*
 * Life cycle.
 */

static void adopt(struct io_server *s, uv_handle_t *h)
{
    h->data = s;
    uv_unref(h); /* listeners and connections keep the loop going, these do not */
    s->nhandles++;
}

int io_server_new(const struct io_server_conf *conf, struct io_server **ret, struct err *e)
{
    struct io_server *s = xcalloc(1, sizeof *s);

    assert(conf->loop);
    s->conf = *conf;
    if (!s->conf.connections_max)
        s->conf.connections_max = LIMIT_CONNECTIONS;
    s->grpc = (struct grpc_conn_conf){
        .methods = conf->methods,
        .http = conf->http,
        .http_ctx = conf->http_ctx,
        .request_max = conf->request_max ? conf->request_max : REQUEST_MAX,
        .streams_max = conf->streams_max ? conf->streams_max : LIMIT_STREAMS,
        .keepalive_min_ns = conf->keepalive_min_ns,
        .keepalive_interval_ns = conf->keepalive_interval_ns,
        .keepalive_timeout_ns = conf->keepalive_timeout_ns,
    };
    list_init(&s->listeners);
    list_init(&s->conns);
    list_init(&s->dirty);
    buf_init(&s->plain, PLAIN_MAX);
    uv_prepare_init(conf->loop, &s->prepare);
    uv_check_init(conf->loop, &s->check);
    uv_idle_init(conf->loop, &s->idle);
    uv_timer_init(conf->loop, &s->sweep);
    adopt(s, (uv_handle_t *)&s->prepare);
    adopt(s, (uv_handle_t *)&s->check);
    adopt(s, (uv_handle_t *)&s->idle);
    adopt(s, (uv_handle_t *)&s->sweep);
    uv_prepare_start(&s->prepare, on_prepare);
    uv_check_start(&s->check, on_check);
    uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *ret = s;
    return 0;
}

void io_server_free(struct io_server *s)
{
    if (!s)
        return;
    assert(s->stopping && s->nconns == 0 && s->nhandles == 0);
    buf_deinit(&s->plain);
    free(s);
}

size_t io_server_unary_open(const struct io_server *s)
{
    return s->conf.methods ? grpc_methods_unary_open(s->conf.methods) : 0;
}

size_t io_server_connections(const struct io_server *s)
{
    return s->nconns;
}

/*
 * Listening.
 */

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *l = stream->data;

    if (status == 0)
        conn_accept(l->server, stream, l->tls);
}

static void on_listener_closed(uv_handle_t *h)
{
    struct listener *l = h->data;
    struct io_server *s = l->server;

    free(l);
    s->nhandles--;
    server_check_stopped(s);
}

/* The address to bind: IPv4 first where a name has both, as Go's net.Listen does. */
static int resolve(const char *host, uint16_t port, struct sockaddr_storage *ret, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list, *best;
    char service[8];

    if (host[0] == 0) /* all addresses of both families */
        return uv_ip6_addr("::", port, (struct sockaddr_in6 *)ret);
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int r = getaddrinfo(host, service, &hints, &list);
    if (r != 0)
        return err_set(e, ERR_CONFIG, "listen on '%s': %s", host, gai_strerror(r));
    best = list;
    for (struct addrinfo *a = list; a; a = a->ai_next)
        if (a->ai_family == AF_INET && best->ai_family != AF_INET)
            best = a;
    memcpy(ret, best->ai_addr, best->ai_addrlen);
    freeaddrinfo(list);
    return 0;
}

static uint16_t bound_port(const uv_tcp_t *tcp)
{
    struct sockaddr_storage a;
    int n = sizeof a;

    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&a, &n) < 0)
        return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

static int bind_and_listen(struct listener *l, struct sockaddr_storage *addr, bool any,
                           uint16_t port)
{
    int r = uv_tcp_bind(&l->tcp, (struct sockaddr *)addr, 0);

    if (r == UV_EAFNOSUPPORT && any) { /* a kernel without IPv6 */
        uv_ip4_addr("0.0.0.0", port, (struct sockaddr_in *)addr);
        r = uv_tcp_bind(&l->tcp, (struct sockaddr *)addr, 0);
    }
    return r < 0 ? r : uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
}

int io_server_listen(struct io_server *s, const char *host, uint16_t port, struct tls_context *tls,
                     uint16_t *ret_port, struct err *e)
{
    struct sockaddr_storage addr;
    int r = resolve(host, port, &addr, e);

    if (r < 0)
        return r;
    struct listener *l = xcalloc(1, sizeof *l);
    l->server = s;
    l->tls = tls;
    l->tcp.data = l;
    uv_tcp_init(s->conf.loop, &l->tcp);
    s->nhandles++;
    r = bind_and_listen(l, &addr, host[0] == 0, port);
    if (r < 0) {
        uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
        return err_set(e, r, "listen on '%s:%u'", host, (unsigned)port);
    }
    list_add_tail(&s->listeners, &l->node);
    if (ret_port)
        *ret_port = bound_port(&l->tcp);
    return 0;
}

/*
 * Stop.
 */

static void on_own_closed(uv_handle_t *h)
{
    struct io_server *s = h->data;

    s->nhandles--;
    server_check_stopped(s);
}

static void close_own(uv_handle_t *h)
{
    if (!uv_is_closing(h))
        uv_close(h, on_own_closed);
}

void server_check_stopped(struct io_server *s)
{
    if (!s->stopping || s->nconns > 0)
        return;
    /* Only now: connections still needed the turns and the sweep. */
    close_own((uv_handle_t *)&s->prepare);
    close_own((uv_handle_t *)&s->check);
    close_own((uv_handle_t *)&s->idle);
    close_own((uv_handle_t *)&s->sweep);
    if (s->nhandles > 0 || !s->stopped)
        return;
    void (*done)(void *ctx) = s->stopped;
    s->stopped = NULL;
    done(s->stopped_ctx);
}

void io_server_stop(struct io_server *s, uint64_t grace_ms, void (*done)(void *ctx), void *ctx)
{
    assert(!s->stopping && done);
    s->stopping = true;
    s->stop_ns = server_now_ns(s) + grace_ms * NS_PER_MS;
    s->stopped = done;
    s->stopped_ctx = ctx;
    list_for_each (it, &s->listeners) {
        list_del(it);
        uv_close((uv_handle_t *)&container_of(it, struct listener, node)->tcp, on_listener_closed);
    }
    list_for_each (it, &s->conns)
        conn_stop(container_of(it, struct conn, node));
    server_check_stopped(s);
}
