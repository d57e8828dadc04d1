/*
 * client: an etcd v3 client for straight-line programs: blocking calls with deadlines, over HTTP/2
 * on nghttp2, cleartext or TLS.
 *
 * One struct client is one connection (made at the first call, made again after a failure, trying
 * the endpoints in turn) and may carry several streams. Not for two threads at once. Responses live
 * in memory of the call's owner until client_response_free or client_stream_close.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/slice.h"

struct client;
struct client_conf {
    const char *const
        *endpoints; /* NULL-terminated: "host:port", "http://host:port", "https://host:port" */
    uint64_t dial_timeout_ns;
    uint64_t command_timeout_ns;                      /* of unary calls; 0: none */
    uint64_t keepalive_time_ns, keepalive_timeout_ns; /* HTTP/2 pings while streams wait; 0: none */
    const char *cacert, *cert, *key; /* NULL: none; any of them, or https://, means TLS */
    bool insecure_skip_tls_verify;
    size_t receive_max; /* bytes of one message; 0: 2 GiB - 1 */
};

int client_new(const struct client_conf *conf, struct client **ret, struct err *e);
void client_free(struct client *c);
/* Which endpoint the connection goes to, or would go to next. */
const char *client_endpoint(const struct client *c);

/* A unary call: path "/etcdserverpb.KV/Range". 0 and a response to free, or negative. A server's
 * refusal: e->msg is its text, *ret_status its gRPC status (may be NULL); the return is
 * ERR_UNAVAILABLE (14, no connection), ERR_DEADLINE (4), else the code in err_table.h with that
 * text, or ERR_INTERNAL. Reads (idempotent true) are tried again on another endpoint after
 * UNAVAILABLE. */
int client_call(struct client *c, const char *path, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *response_type, bool idempotent,
                ProtobufCMessage **ret_response, int *ret_status, struct err *e);
void client_response_free(ProtobufCMessage *m);

/* A stream, both ways. */
struct client_stream;
int client_stream_open(struct client *c, const char *path,
                       const ProtobufCMessageDescriptor *response_type, struct client_stream **ret,
                       struct err *e);
int client_stream_send(struct client_stream *s, const ProtobufCMessage *m, struct err *e);
int client_stream_half_close(struct client_stream *s, struct err *e);
/* The next message. 0 and a response to free; 1 when the stream ended well; ERR_DEADLINE after
 * timeout_ns (UINT64_MAX: never) with the stream still good; other negatives: the stream has
 * failed. wake_fd (or -1): returns -EINTR when it gets readable (signals, stdin). */
int client_stream_recv(struct client_stream *s, uint64_t timeout_ns, int wake_fd,
                       ProtobufCMessage **ret, struct err *e);
void client_stream_close(struct client_stream *s);

#endif
