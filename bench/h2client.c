#include "h2client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>

#include "base/buf.h"

#define WINDOW (64 << 20) /* never the bottleneck */
#define SENDING_MAX                                                                                \
    (64u * 1024 * 1024) /* requests handed over faster than the server takes them                  \
                         */
#define MESSAGE_MAX    (64u * 1024 * 1024) /* one answer */
#define READ_BYTES     (256 * 1024)
#define POLL_CONNS_MAX 1024
#define GRPC_PREFIX    5 /* flag byte and length */

struct h2c {
    int fd;
    nghttp2_session *session;
    struct buf out;
    struct slice authority;
    uint8_t in[READ_BYTES];
};

struct h2c_call {
    struct h2c *conn;
    int32_t id;
    struct h2c_callbacks cb;
    struct buf sending;   /* request bytes not yet taken by nghttp2 */
    struct buf receiving; /* an answer message in part */
    bool stream;
    int grpc_status; /* -1 until the trailers */
};

/* ---- small things ---- */

void bench_die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

const char *bench_arg(int argc, char **argv, const char *name, const char *def)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0)
            return argv[i + 1];
    }
    if (!def)
        bench_die("--%s is missing", name);
    return def;
}

uint64_t bench_arg_u64(int argc, char **argv, const char *name, uint64_t def)
{
    const char *text = bench_arg(argc, argv, name, "");
    char *end = NULL;

    if (!*text)
        return def;
    uint64_t v = strtoull(text, &end, 10);
    if (*end)
        bench_die("--%s: '%s' is no number", name, text);
    return v;
}

double bench_now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t varint(struct slice *s)
{
    uint64_t v = 0;

    for (unsigned shift = 0; s->n && shift < 64; shift += 7) {
        uint8_t b = *s->p;
        *s = slice_skip(*s, 1);
        v |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            break;
    }
    return v;
}

size_t pb_count(struct slice m, unsigned number)
{
    size_t found = 0;

    while (m.n) {
        uint64_t tag = varint(&m);
        uint64_t v = varint(&m); /* our answers hold only varints and length-delimited fields */
        if ((tag & 7) == 2) {
            found += tag >> 3 == number;
            m = slice_skip(m, MIN(v, (uint64_t)m.n));
        }
    }
    return found;
}

/* ---- nghttp2's callbacks ---- */

static ssize_t on_send(nghttp2_session *s, const uint8_t *p, size_t n, int flags, void *user)
{
    struct h2c *c = user;

    return buf_append(&c->out, p, n) < 0 ? NGHTTP2_ERR_WOULDBLOCK : (ssize_t)n;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct h2c_call *call = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);

    if (call && slice_eq_str(slice_of(name, name_n), "grpc-status"))
        call->grpc_status = (int)strtol((const char *)value, NULL, 10);
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *user)
{
    struct h2c_call *call = nghttp2_session_get_stream_user_data(s, id);

    if (!call)
        return 0;
    if (buf_append(&call->receiving, p, n) < 0)
        bench_die("an answer larger than %u bytes", MESSAGE_MAX);
    struct slice in = buf_slice(&call->receiving);
    while (in.n >= GRPC_PREFIX && in.n - GRPC_PREFIX >= get_be32(in.p + 1)) {
        uint32_t len = get_be32(in.p + 1);
        if (call->cb.on_message)
            call->cb.on_message(call->cb.ctx, slice_of(in.p + GRPC_PREFIX, len));
        in = slice_skip(in, GRPC_PREFIX + len);
    }
    buf_consume(&call->receiving, call->receiving.n - in.n);
    return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
    struct h2c_call *call = nghttp2_session_get_stream_user_data(s, id);

    if (!call)
        return 0;
    if (call->grpc_status < 0)
        bench_die("a stream ended with HTTP/2 error %u", code);
    if (call->cb.on_end)
        call->cb.on_end(call->cb.ctx, call->grpc_status);
    buf_deinit(&call->sending);
    buf_deinit(&call->receiving);
    free(call);
    return 0;
}

static ssize_t read_request(nghttp2_session *s, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
                            nghttp2_data_source *source, void *user)
{
    struct h2c_call *call = source->ptr;
    size_t take = MIN(n, call->sending.n);

    if (take) {
        memcpy(p, call->sending.p, take);
        buf_consume(&call->sending, take);
    }
    if (call->sending.n == 0 && !call->stream)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return take == 0 && call->stream ? NGHTTP2_ERR_DEFERRED : (ssize_t)take;
}

/* ---- the connection ---- */

static int tcp_connect(const char *target)
{
    cleanup_free char *host = xstrdup(target);
    char *colon = strrchr(host, ':');
    if (!colon)
        bench_die("'%s' is no ADDRESS:PORT", target);
    *colon = '\0';
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        bench_die("'%s' is no IPv4 address", host);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        bench_die("connect %s: %s", target, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

struct h2c *h2c_connect(const char *target)
{
    struct h2c *c = xcalloc(1, sizeof(*c));
    nghttp2_session_callbacks *cb;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
                                         {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};

    c->fd = tcp_connect(target);
    c->authority = slice_str(xstrdup(target));
    buf_init(&c->out, SENDING_MAX);
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_send_callback(cb, on_send);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_client_new(&c->session, cb, c);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW);
    return c;
}

void h2c_free(struct h2c *c)
{
    if (!c)
        return;
    nghttp2_session_del(c->session);
    close(c->fd);
    buf_deinit(&c->out);
    free((char *)(uintptr_t)c->authority.p);
    free(c);
}

int h2c_fd(const struct h2c *c)
{
    return c->fd;
}

bool h2c_wants_write(const struct h2c *c)
{
    return c->out.n > 0 || nghttp2_session_want_write(c->session);
}

void h2c_flush(struct h2c *c)
{
    if (nghttp2_session_send(c->session) != 0)
        bench_die("nghttp2 cannot send");
    if (c->out.n == 0)
        return;
    ssize_t n = write(c->fd, c->out.p, c->out.n);
    if (n < 0 && errno != EAGAIN)
        bench_die("write: %s", strerror(errno));
    if (n > 0)
        buf_consume(&c->out, (size_t)n);
}

void h2c_on_readable(struct h2c *c)
{
    ssize_t n = read(c->fd, c->in, sizeof(c->in));

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        bench_die("the server closed the connection%s%s", n < 0 ? ": " : "",
                  n < 0 ? strerror(errno) : "");
    if (nghttp2_session_mem_recv(c->session, c->in, (size_t)n) < 0)
        bench_die("the server does not speak HTTP/2");
}

/* ---- calls ---- */

static void append_message(struct buf *b, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);

    if (buf_reserve(b, GRPC_PREFIX + n) < 0)
        bench_die("more than %u request bytes wait", SENDING_MAX);
    b->p[b->n] = 0;
    put_be32(b->p + b->n + 1, (uint32_t)n);
    protobuf_c_message_pack(m, b->p + b->n + GRPC_PREFIX);
    b->n += GRPC_PREFIX + n;
}

static nghttp2_nv field(const char *name, struct slice value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value.p,
                        .namelen = strlen(name),
                        .valuelen = value.n};
}

struct h2c_call *h2c_call(struct h2c *c, const char *path, const ProtobufCMessage *request,
                          bool stream, const struct h2c_callbacks *cb)
{
    struct h2c_call *call = xcalloc(1, sizeof(*call));
    nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_request};
    nghttp2_nv headers[] = {field(":method", SLICE_LIT("POST")),
                            field(":scheme", SLICE_LIT("http")),
                            field(":path", slice_str(path)),
                            field(":authority", c->authority),
                            field("content-type", SLICE_LIT("application/grpc")),
                            field("te", SLICE_LIT("trailers"))};

    *call = (struct h2c_call){.conn = c, .cb = *cb, .stream = stream, .grpc_status = -1};
    buf_init(&call->sending, SENDING_MAX);
    buf_init(&call->receiving, MESSAGE_MAX);
    append_message(&call->sending, request);
    call->id = nghttp2_submit_request(c->session, NULL, headers, ARRAY_LEN(headers), &body, call);
    if (call->id < 0)
        bench_die("nghttp2_submit_request: %s", nghttp2_strerror(call->id));
    return call;
}

void h2c_send(struct h2c_call *call, const ProtobufCMessage *request)
{
    append_message(&call->sending, request);
    nghttp2_session_resume_data(call->conn->session, call->id);
}

void h2c_poll(struct h2c **conns, size_t n, int timeout_ms)
{
    struct pollfd fds[POLL_CONNS_MAX];

    assert(n <= POLL_CONNS_MAX);
    for (size_t i = 0; i < n; i++) {
        h2c_flush(conns[i]);
        fds[i] = (struct pollfd){
            .fd = conns[i]->fd,
            .events = (short)(h2c_wants_write(conns[i]) ? POLLIN | POLLOUT : POLLIN)};
    }
    if (poll(fds, (nfds_t)n, timeout_ms) < 0 && errno != EINTR)
        bench_die("poll: %s", strerror(errno));
    for (size_t i = 0; i < n; i++) {
        if (fds[i].revents & (POLLIN | POLLHUP | POLLERR))
            h2c_on_readable(conns[i]);
    }
}
