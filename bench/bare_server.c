/*
 * bare_server: the ceiling over every answer. nghttp2 and one epoll loop, no store: each request
 * gets the same 300-byte gRPC message. What it answers per second is what any server on nghttp2
 * could reach on this machine with this client.
 *
 * usage: bench_bare_server
 * prints its port and serves until its standard input ends. Loopback only.
 */
#include "h2client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/buf.h"

#define ANSWER_BYTES 300 /* a RangeResponse with one 256-byte value */
#define OUT_MAX      (64u * 1024 * 1024)
#define READ_BYTES   (64 * 1024)
#define EVENTS_MAX   64
#define STREAMS_MAX  1000

struct conn {
    int fd;
    nghttp2_session *session;
    struct buf out;
    bool watching_write;
};

static int epoll_fd;
static uint8_t answer[5 + ANSWER_BYTES];

static ssize_t on_send(nghttp2_session *s, const uint8_t *p, size_t n, int flags, void *user)
{
    struct conn *c = user;

    return buf_append(&c->out, p, n) < 0 ? NGHTTP2_ERR_WOULDBLOCK : (ssize_t)n;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

static ssize_t read_answer(nghttp2_session *s, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
                           nghttp2_data_source *source, void *user)
{
    nghttp2_nv trailer = field("grpc-status", "0");

    if (n < sizeof(answer))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    memcpy(p, answer, sizeof(answer));
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(s, id, &trailer, 1);
    return sizeof(answer);
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
    nghttp2_nv headers[] = {field(":status", "200"), field("content-type", "application/grpc")};
    nghttp2_data_provider body = {.read_callback = read_answer};

    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        nghttp2_submit_response(s, frame->hd.stream_id, headers, ARRAY_LEN(headers), &body);
    return 0;
}

static void conn_watch(struct conn *c, int op, bool write)
{
    struct epoll_event ev = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};

    if (epoll_ctl(epoll_fd, op, c->fd, &ev) < 0)
        bench_die("epoll_ctl: %s", strerror(errno));
    c->watching_write = write;
}

static void conn_new(int fd)
{
    struct conn *c = xcalloc(1, sizeof(*c));
    nghttp2_session_callbacks *cb;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX}};
    int one = 1;

    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    buf_init(&c->out, OUT_MAX);
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_send_callback(cb, on_send);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_server_new(&c->session, cb, c);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
    conn_watch(c, EPOLL_CTL_ADD, false);
}

static void conn_free(struct conn *c)
{
    nghttp2_session_del(c->session);
    close(c->fd);
    buf_deinit(&c->out);
    free(c);
}

/* False when the connection is over. */
static bool conn_serve(struct conn *c, bool readable)
{
    static uint8_t in[READ_BYTES];

    if (readable) {
        ssize_t n = read(c->fd, in, sizeof(in));
        if (n <= 0 && errno != EAGAIN)
            return false;
        if (n == 0 || (n > 0 && nghttp2_session_mem_recv(c->session, in, (size_t)n) < 0))
            return false;
    }
    if (nghttp2_session_send(c->session) != 0)
        return false;
    if (c->out.n) {
        ssize_t n = write(c->fd, c->out.p, c->out.n);
        if (n < 0 && errno != EAGAIN)
            return false;
        buf_consume(&c->out, n > 0 ? (size_t)n : 0);
    }
    if ((c->out.n > 0) != c->watching_write)
        conn_watch(c, EPOLL_CTL_MOD, c->out.n > 0);
    return true;
}

static int listen_on_loopback(uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) < 0)
        bench_die("listen: %s", strerror(errno));
    *ret_port = ntohs(at.sin_port);
    return fd;
}

int main(void)
{
    static char in_mark, listen_mark; /* whose events these are */
    struct epoll_event events[EVENTS_MAX],
        in = {.events = EPOLLIN, .data.ptr = &in_mark},
        accepting = {.events = EPOLLIN, .data.ptr = &listen_mark};
    uint16_t port = 0;
    int listener = listen_on_loopback(&port);

    put_be32(answer + 1, ANSWER_BYTES);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &accepting) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &in) < 0)
        bench_die("epoll_ctl: %s", strerror(errno));
    printf("%u\n", port);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &in_mark)
                return 0;
            if (events[i].data.ptr == &listen_mark) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd >= 0)
                    conn_new(fd);
                continue;
            }
            struct conn *c = events[i].data.ptr;
            if (!conn_serve(c, events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                conn_free(c);
        }
    }
}
