#include "client/client_internal.h"

#include "base/clock.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#define READ_BYTES    (256u * 1024)     /* one read: large answers take few system calls */
#define RETRY_WAIT_NS (100 * NS_PER_MS) /* between two rounds through the endpoints */
#define DEFAULT_PORT  "2379"

static int feed_plain(struct client *c);

uint64_t client_now_ns(void)
{
    return clock_mono_ns(&clock_system);
}

/*
 * Endpoints.
 */

void endpoint_deinit(struct endpoint *ep)
{
    free(ep->text);
    free(ep->host);
    free(ep->port);
    free(ep->authority);
}

static const char *skip_scheme(const char *text, bool *tls)
{
    if (strncmp(text, "https://", 8) == 0) {
        *tls = true;
        return text + 8;
    }
    return strncmp(text, "http://", 7) == 0 ? text + 7 : text;
}

/* Where the host of "host:port", "host" or "[v6 address]:port" begins and ends. False: nowhere. */
static bool find_host(const char *at, const char *end, const char **ret_begin, const char **ret_end)
{
    bool bracket = *at == '[';

    *ret_begin = at + bracket;
    *ret_end = memchr(at, bracket ? ']' : ':', (size_t)(end - at));
    if (!*ret_end)
        *ret_end = bracket ? *ret_begin : end;
    const char *behind = *ret_end + bracket;
    return *ret_end > *ret_begin && (behind == end || *behind == ':');
}

int endpoint_parse(struct endpoint *ep, const char *text, bool tls, struct err *e)
{
    *ep = (struct endpoint){.text = xstrdup(text), .tls = tls};
    const char *at = skip_scheme(text, &ep->tls);
    const char *end = at + strcspn(at, "/"), *host, *host_end;

    if (!find_host(at, end, &host, &host_end) || strstr(at, "://"))
        return err_set(e, ERR_USAGE, "endpoint '%s': expected host:port, http:// or https://",
                       text);
    const char *colon = memchr(host_end, ':', (size_t)(end - host_end));
    ep->host = xasprintf("%.*s", (int)(host_end - host), host);
    ep->port = colon && colon + 1 < end ? xasprintf("%.*s", (int)(end - colon - 1), colon + 1)
                                        : xstrdup(DEFAULT_PORT);
    ep->authority = xasprintf(strchr(ep->host, ':') ? "[%s]:%s" : "%s:%s", ep->host, ep->port);
    return 0;
}

/*
 * Connecting.
 */

static int wait_ms(uint64_t deadline_ns)
{
    uint64_t now = client_now_ns();
    uint64_t ms = deadline_ns <= now ? 0 : (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;

    if (deadline_ns == UINT64_MAX)
        return -1;
    return (int)MIN(ms, (uint64_t)INT32_MAX);
}

static int wait_connected(int fd, uint64_t deadline_ns)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int failure = 0;
    socklen_t n = sizeof failure;
    int r;

    do
        r = poll(&p, 1, wait_ms(deadline_ns));
    while (r < 0 && errno == EINTR && client_now_ns() < deadline_ns);
    if (r == 0)
        return -ETIMEDOUT;
    if (r < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &n) < 0)
        return -errno;
    return -failure;
}

static int connect_address(const struct addrinfo *a, uint64_t deadline_ns, int *ret_fd)
{
    cleanup_close int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0)
        return -errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
        int r = errno == EINPROGRESS ? wait_connected(fd, deadline_ns) : -errno;
        if (r < 0)
            return r;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *ret_fd = take_fd(&fd);
    return 0;
}

static int connect_endpoint(const struct endpoint *ep, uint64_t deadline_ns, int *ret_fd,
                            struct err *e)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int r = getaddrinfo(ep->host, ep->port, &hints, &list);

    if (r != 0)
        return err_set(e, ERR_UNAVAILABLE, "dial tcp: lookup %s: %s", ep->host, gai_strerror(r));
    r = -ENOENT;
    for (const struct addrinfo *a = list; a && r < 0; a = a->ai_next)
        r = connect_address(a, deadline_ns, ret_fd);
    freeaddrinfo(list);
    if (r < 0)
        return err_set(e, ERR_UNAVAILABLE, "dial tcp %s: connect: %s", ep->authority,
                       r == -ECONNREFUSED ? "connection refused" : err_text(r));
    return 0;
}

static void start_grpc(struct client *c, const struct endpoint *ep)
{
    const struct grpc_client_conf conf = {
        .authority = ep->authority,
        .user_agent = "stead-client/" STEAD_VERSION,
        .tls = ep->tls,
        .response_max = c->conf.receive_max,
        .keepalive_interval_ns = c->conf.keepalive_time_ns,
        .keepalive_timeout_ns = c->conf.keepalive_timeout_ns,
        .user = c,
    };

    c->grpc = grpc_client_new(&conf, client_now_ns());
}

/* Runs the handshake to its end, so that its errors are told as what they are. */
static int handshake(struct client *c, const struct endpoint *ep, uint64_t deadline_ns,
                     struct err *e)
{
    struct err why = {0};

    if (!ep->tls)
        return 0;
    c->tls = tls_conn_new(c->tls_context, ep->host);
    while (!tls_conn_ready(c->tls)) {
        int r = client_conn_turn(c, deadline_ns, -1, &why);
        if (r < 0)
            return err_set(e, ERR_UNAVAILABLE, "TLS handshake with %s: %s", ep->authority,
                           r == ERR_DEADLINE ? "timed out" : why.msg);
    }
    if (strcmp(tls_conn_alpn(c->tls), "http/1.1") == 0)
        return err_set(e, ERR_UNAVAILABLE, "%s does not speak HTTP/2", ep->authority);
    return 0;
}

/* Waits for the server's first frame: before it comes there is no telling what is at the other end,
 * and a request would be lost on it. */
static int greet(struct client *c, const struct endpoint *ep, uint64_t deadline_ns, struct err *e)
{
    struct err why = {0};

    c->heard = false;
    start_grpc(c, ep);
    if (feed_plain(c) < 0)
        return err_set(e, ERR_UNAVAILABLE, "%s does not speak HTTP/2", ep->authority);
    while (!c->heard) {
        int r = client_conn_turn(c, deadline_ns, -1, &why);
        if (r == ERR_DEADLINE)
            return err_set(e, ERR_UNAVAILABLE, "%s accepts connections but does not answer",
                           ep->authority);
        if (r < 0)
            return err_set(e, ERR_UNAVAILABLE, "%s%s", why.msg,
                           ep->tls ? "" : " (if it serves TLS, say https:// or give --cacert)");
    }
    return 0;
}

static int try_endpoint(struct client *c, uint64_t deadline_ns, struct err *e)
{
    const struct endpoint *ep = &c->endpoints[c->at];
    int r = connect_endpoint(ep, deadline_ns, &c->fd, e);

    if (r < 0)
        return r;
    r = handshake(c, ep, deadline_ns, e);
    if (r == 0)
        r = greet(c, ep, deadline_ns, e);
    if (r < 0)
        client_conn_close(c, NULL);
    return r;
}

int client_conn_open(struct client *c, uint64_t deadline_ns, struct err *e)
{
    client_conn_close(c, NULL);
    for (;;) {
        for (size_t i = 0; i < c->nendpoints; i++) {
            if (try_endpoint(c, deadline_ns, e) == 0)
                return 0;
            c->at = (c->at + 1) % c->nendpoints;
        }
        uint64_t now = client_now_ns();
        if (now + RETRY_WAIT_NS >= deadline_ns)
            return ERR_UNAVAILABLE;
        poll(NULL, 0, RETRY_WAIT_NS / NS_PER_MS);
    }
}

bool client_conn_usable(const struct client *c)
{
    return c->grpc && grpc_client_usable(c->grpc) && !grpc_client_done(c->grpc);
}

void client_conn_close(struct client *c, const char *text)
{
    struct grpc_client *grpc = take_ptr(&c->grpc);

    grpc_client_free(grpc, text);
    if (c->tls)
        tls_conn_free(take_ptr(&c->tls));
    buf_clear(&c->plain);
    if (c->fd >= 0)
        close(take_fd(&c->fd));
}

/*
 * One turn of the connection.
 */

/* What goes to the socket: TLS records, or HTTP/2 frames as they are. */
static struct buf *outgoing(struct client *c)
{
    if (c->grpc) {
        grpc_client_flush(c->grpc);
        struct buf *frames = grpc_client_output(c->grpc);
        if (!c->tls)
            return frames;
        if (frames->n > 0 && tls_conn_write(c->tls, buf_slice(frames)) == 0)
            buf_clear(frames);
    }
    return c->tls ? tls_conn_output(c->tls) : NULL;
}

/* 0 when everything is sent, 1 when the socket takes no more now. */
static int send_all(struct client *c)
{
    struct buf *out;

    while ((out = outgoing(c)) && out->n > 0) {
        ssize_t n = send(c->fd, out->p, out->n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 1 : -errno;
        buf_consume(out, (size_t)n);
    }
    return 0;
}

/* Hands on what TLS has decrypted; the first of it may come with the end of the handshake. */
static int feed_plain(struct client *c)
{
    if (!c->grpc || c->plain.n == 0)
        return 0;
    int r = grpc_client_feed(c->grpc, buf_slice(&c->plain), client_now_ns());
    buf_clear(&c->plain);
    c->heard = true;
    return r;
}

static int deliver(struct client *c, struct slice in, struct err *e)
{
    if (c->tls) {
        int r = tls_conn_feed(c->tls, in, &c->plain, e);
        return r < 0 ? r : feed_plain(c);
    }
    c->heard = true;
    return grpc_client_feed(c->grpc, in, client_now_ns());
}

static int receive(struct client *c, struct err *e)
{
    static uint8_t bytes[READ_BYTES];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR
                   ? 0
                   : err_set(e, ERR_UNAVAILABLE, "read: %s", err_text(-errno));
    if (n == 0)
        return err_set(e, ERR_UNAVAILABLE, "connection closed by %s",
                       c->endpoints[c->at].authority);
    struct err why = {0};
    if (deliver(c, slice_of(bytes, (size_t)n), &why) < 0)
        return err_set(e, ERR_UNAVAILABLE, "%s",
                       *why.msg ? why.msg : "the server does not speak HTTP/2");
    return 0;
}

static void tick(struct client *c)
{
    uint64_t now = client_now_ns();

    if (c->grpc && grpc_client_wake_ns(c->grpc) <= now)
        grpc_client_tick(c->grpc, now);
}

static int turn(struct client *c, uint64_t deadline_ns, int wake_fd, struct err *e)
{
    uint64_t wake_ns = c->grpc ? grpc_client_wake_ns(c->grpc) : UINT64_MAX;
    int blocked = send_all(c);

    if (blocked < 0)
        return err_set(e, ERR_UNAVAILABLE, "write: %s", err_text(blocked));
    if (c->grpc && grpc_client_done(c->grpc))
        return err_set(e, ERR_UNAVAILABLE, "transport is closing");
    struct pollfd p[2] = {{.fd = c->fd, .events = (short)(POLLIN | (blocked ? POLLOUT : 0))},
                          {.fd = wake_fd, .events = POLLIN}};
    int n = poll(p, 2, wait_ms(MIN(deadline_ns, wake_ns)));
    if (n < 0 && errno != EINTR)
        return err_set(e, ERR_UNAVAILABLE, "poll: %s", err_text(-errno));
    int r = n > 0 && p[0].revents ? receive(c, e) : 0;
    tick(c);
    if (r < 0)
        return r;
    if (n > 0 && p[1].revents)
        return -EINTR;
    return n == 0 && client_now_ns() >= deadline_ns ? ERR_DEADLINE : 0;
}

int client_conn_turn(struct client *c, uint64_t deadline_ns, int wake_fd, struct err *e)
{
    struct err why = {0};

    if (c->fd < 0)
        return err_set(e, ERR_UNAVAILABLE, "not connected");
    int r = turn(c, deadline_ns, wake_fd, &why);
    if (r < 0 && r != ERR_DEADLINE && r != -EINTR) {
        send_all(c); /* a last GOAWAY, if there is one */
        client_conn_close(c, why.msg);
        return err_set(e, ERR_UNAVAILABLE, "%s", why.msg);
    }
    return r;
}
