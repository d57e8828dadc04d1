/*
 * server: listening sockets on a libuv loop, and the connections they accept.
 *
 * On one port: HTTP/2 with prior knowledge (told by its preface), HTTP/1.1, and both over TLS by
 * ALPN. gRPC calls (content-type application/grpc*) go to the methods, other requests of either
 * HTTP version to the handler. Each connection is flushed at most once a loop turn. Bounds:
 * wire/limits.h.
 */
#ifndef IO_SERVER_H
#define IO_SERVER_H

#include <uv.h>

#include "base/err.h"
#include "wire/grpc.h"
#include "wire/http.h"

struct io_server;
struct tls_context; /* io/tls.h */

struct io_server_conf {
    uv_loop_t *loop;
    struct grpc_methods *methods; /* NULL: no gRPC */
    http_handler *http;           /* NULL: other requests get 404 */
    void *http_ctx;
    /* 0 in these three: the default of wire/limits.h. */
    size_t request_max;   /* bytes of the largest gRPC message accepted */
    uint32_t streams_max; /* concurrent per connection */
    uint32_t connections_max;
    uint64_t keepalive_min_ns; /* pings closer than this: GOAWAY too_many_pings; 0: no policing */
    uint64_t keepalive_interval_ns; /* we ping an idle HTTP/2 peer this often; 0: never */
    uint64_t keepalive_timeout_ns;  /* and close it when no answer comes within this */
    /* Called at the end of each loop turn in which anything was received, before sockets are
     * written: the place to start the next log batch. May be NULL. */
    void (*on_turn)(void *ctx);
    void *turn_ctx;
};

int io_server_new(const struct io_server_conf *conf, struct io_server **ret, struct err *e);
/* host: "127.0.0.1", "::1", "localhost", "0.0.0.0", "" (all). tls NULL: cleartext; borrowed. The
 * port really bound (for port 0) goes to ret_port. May be called several times. */
int io_server_listen(struct io_server *s, const char *host, uint16_t port, struct tls_context *tls,
                     uint16_t *ret_port, struct err *e);
/* Stops accepting, sends GOAWAY, ends open calls with UNAVAILABLE "etcdserver: server stopped";
 * connections end when flushed or after grace_ms. done is called once nothing is left; then free.
 * Needed before free in any case, as handles close only while the loop runs. */
void io_server_stop(struct io_server *s, uint64_t grace_ms, void (*done)(void *ctx), void *ctx);
void io_server_free(struct io_server *s);
/* Unary calls whose answer is still owed: lets the store choose between writing its log inline and
 * handing it to the log thread. */
size_t io_server_unary_open(const struct io_server *s);
size_t io_server_connections(const struct io_server *s);

#endif
