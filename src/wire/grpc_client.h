/*
 * grpc_client: remote calls on the client's side over one HTTP/2 connection, without a socket.
 *
 * Feed, flush, output and wake work as in http2.h. A call is valid until its on_status returned,
 * which comes exactly once for every opened call, whatever happens (answer, reset, connection lost,
 * deadline, grpc_client_free), unless the call was ended with grpc_client_cancel.
 *
 * Inside callbacks everything is allowed except feeding, flushing, ticking and freeing the
 * connection.
 */
#ifndef WIRE_GRPC_CLIENT_H
#define WIRE_GRPC_CLIENT_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/err.h"
#include "wire/http2.h"

struct grpc_client;
struct grpc_client_call;

struct grpc_client_handler {
    /* The answer's headers arrived (before the first message; not for trailers-only). May be NULL.
     */
    void (*on_headers)(struct grpc_client_call *c, const struct http_header *h, size_t n);
    /* One message, encoded; valid until this returns. Decode with pb_unpack. */
    void (*on_message)(struct grpc_client_call *c, struct slice raw);
    /* The end. status is a gRPC status; text is percent-decoded UTF-8, maybe empty. trailers
     * include grpc-status and may be empty. The call is gone afterwards. */
    void (*on_status)(struct grpc_client_call *c, int status, struct slice text,
                      const struct http_header *trailers, size_t n);
    /* grpc_client_queued sank below HTTP2_LOW_WATER after having been above it. May be NULL. */
    void (*on_writable)(struct grpc_client_call *c);
};

struct grpc_client_conf {
    const char *authority;          /* ":authority", e.g. "localhost:2379"; copied */
    const char *user_agent;         /* copied */
    bool tls;                       /* ":scheme" https */
    size_t response_max;            /* bytes of the largest message accepted; 0: 2^31-1 */
    uint64_t keepalive_interval_ns; /* as in http2_conf */
    uint64_t keepalive_timeout_ns;
    bool keepalive_without_streams;
    void *user;
};

struct grpc_client *grpc_client_new(const struct grpc_client_conf *conf, uint64_t now_ns);
/* Ends open calls with UNAVAILABLE and text (NULL: "transport is closing"). NULL conn is fine. */
void grpc_client_free(struct grpc_client *c, const char *text);

/* As in http2.h. A connection that is done has ended its calls or does so in grpc_client_free. */
int grpc_client_feed(struct grpc_client *c, struct slice in, uint64_t now_ns);
void grpc_client_flush(struct grpc_client *c);
struct buf *grpc_client_output(struct grpc_client *c);
void grpc_client_set_output_hook(struct grpc_client *c, void (*hook)(void *ctx), void *ctx);
bool grpc_client_done(const struct grpc_client *c);
bool grpc_client_usable(const struct grpc_client *c); /* takes new calls */
/* Deadlines and keepalive. */
uint64_t grpc_client_wake_ns(const struct grpc_client *c);
void grpc_client_tick(struct grpc_client *c, uint64_t now_ns);
void *grpc_client_user(const struct grpc_client *c);
size_t grpc_client_open_calls(const struct grpc_client *c);

/* Opens a call. path: "/etcdserverpb.KV/Range". timeout_ns: sent as grpc-timeout and enforced here
 * (status 4 "context deadline exceeded"); 0: none. metadata: extra headers, names in lower case;
 * copied. handler is borrowed. NULL when the connection is not usable. */
struct grpc_client_call *grpc_client_open(struct grpc_client *c, const char *path,
                                          uint64_t timeout_ns, uint64_t now_ns,
                                          const struct http_header *metadata, size_t n,
                                          const struct grpc_client_handler *handler, void *user);
/* Sends one message. 0, -EPIPE after the end, -ENOBUFS when too much is queued. */
int grpc_client_send(struct grpc_client_call *c, const ProtobufCMessage *msg);
int grpc_client_send_raw(struct grpc_client_call *c, struct slice encoded);
void grpc_client_half_close(struct grpc_client_call *c); /* no more messages from us */
/* Forgets the call: RST_STREAM(CANCEL), no further callbacks. */
void grpc_client_cancel(struct grpc_client_call *c);
/* open + send + half_close. */
struct grpc_client_call *grpc_client_unary(struct grpc_client *c, const char *path,
                                           uint64_t timeout_ns, uint64_t now_ns,
                                           const struct http_header *metadata, size_t n,
                                           const ProtobufCMessage *msg,
                                           const struct grpc_client_handler *handler, void *user);

void *grpc_client_call_user(const struct grpc_client_call *c);
void grpc_client_call_set_user(struct grpc_client_call *c, void *user);
struct grpc_client *grpc_client_call_conn(const struct grpc_client_call *c);
size_t grpc_client_queued(const struct grpc_client_call *c); /* bytes not yet taken */

#endif
