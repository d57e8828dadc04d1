/*
 * grpc_conn: the server's side of one HTTP/2 connection. Requests with a gRPC content type become
 * calls of the methods (grpc.h), others exchanges for the HTTP handler (http.h).
 *
 * The shell feeds and ticks here and drives the rest of the HTTP/2 session itself (grpc_conn_http2:
 * flush, output, done), by the rules of http2.h.
 */
#ifndef WIRE_GRPC_CONN_H
#define WIRE_GRPC_CONN_H

#include "wire/grpc.h"
#include "wire/http.h"
#include "wire/http2.h"

struct grpc_conn;

struct grpc_conn_conf {
    struct grpc_methods *methods; /* NULL: no gRPC; borrowed */
    http_handler *http;           /* NULL: other requests get 404 */
    void *http_ctx;
    size_t request_max;   /* bytes of the largest message accepted */
    uint32_t streams_max; /* the rest as in http2.h */
    uint64_t keepalive_min_ns;
    uint64_t keepalive_interval_ns;
    uint64_t keepalive_timeout_ns;
};

/* conf is borrowed: one for all connections of a server. */
struct grpc_conn *grpc_conn_new(const struct grpc_conn_conf *conf, uint64_t now_ns);
/* Cancels open calls, aborts open exchanges. */
void grpc_conn_free(struct grpc_conn *c);
struct http2 *grpc_conn_http2(struct grpc_conn *c);
/* Single-message calls wait unrun while more than LIMIT_CONN_QUEUE bytes of answers do (a peer that
 * takes no answers gets no more work done, and frames of flow control are still read). Runs those
 * for which there is room again; true when it ran any. */
bool grpc_conn_resume(struct grpc_conn *c);
/* As http2_feed. */
int grpc_conn_feed(struct grpc_conn *c, struct slice in, uint64_t now_ns);
/* Call grpc_conn_tick at or after wake_ns, then flush: deadlines of calls, and keepalive.
 * UINT64_MAX: nothing to wait for. */
uint64_t grpc_conn_wake_ns(const struct grpc_conn *c);
void grpc_conn_tick(struct grpc_conn *c, uint64_t now_ns);
/* GOAWAY; open calls are canceled and answered with ERR_STOPPED. */
void grpc_conn_stop(struct grpc_conn *c);
/* Calls and exchanges not yet answered. */
size_t grpc_conn_open(const struct grpc_conn *c);

#endif
