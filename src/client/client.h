/*
 * client: an etcd v3 client for straight-line programs: blocking calls with deadlines, over HTTP/2
 * on nghttp2, cleartext or TLS.
 *
 * One struct client is one connection (made at the first call, made again after a failure, trying
 * the endpoints in turn until dial_timeout has passed) and may carry several streams. Not for two
 * threads at once. Responses live in memory of the call's owner until client_response_free. SIGPIPE
 * is never raised.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/slice.h"

#define CLIENT_DIAL_TIMEOUT_NS 5000000000ULL /* upstream's tools give 2 to 5 s */

struct client;
struct client_conf {
    const char *const
        *endpoints; /* NULL-terminated: "host:port", "http://host:port", "https://host:port" */
    uint64_t dial_timeout_ns;                         /* 0: CLIENT_DIAL_TIMEOUT_NS */
    uint64_t command_timeout_ns;                      /* of unary calls; 0: none */
    uint64_t keepalive_time_ns, keepalive_timeout_ns; /* HTTP/2 pings while streams wait; 0: none */
    const char *cacert, *cert, *key; /* NULL: none; any of them, or https://, means TLS */
    bool insecure_skip_tls_verify;
    size_t receive_max;  /* bytes of one message; 0: 2 GiB - 1 */
    bool require_leader; /* streams end when the member loses its leader ("hasleader" metadata) */
};

int client_new(const struct client_conf *conf, struct client **ret, struct err *e);
void client_free(struct client *c);
/* Which endpoint the connection goes to, or would go to next. */
const char *client_endpoint(const struct client *c);

/* Connects, if that has not been done. 0; ERR_UNAVAILABLE: no endpoint answered, the last one's
 * reason is in e ("dial tcp 127.0.0.1:2379: connect: connection refused"). */
int client_connect(struct client *c, struct err *e);

#define CLIENT_NOT_CONNECTED (-1)
/* A unary call: path "/etcdserverpb.KV/Range". 0 and a response to free, or negative. A server's
 * refusal: e->msg is its text, *ret_status (may be NULL) its gRPC status, CLIENT_NOT_CONNECTED when
 * the request never left; the return is
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
/* Ends the stream (with a reset, if it has not ended yet) and frees it; NULL is fine. */
void client_stream_close(struct client_stream *s);
/* The gRPC status of a stream that failed; 0 before that. */
int client_stream_status(const struct client_stream *s);

/*
 * Many streams at once.
 */

void client_stream_set_user(struct client_stream *s, void *user);
void *client_stream_user(const struct client_stream *s);
/* A stream that has got a message, or its end, since it was last returned here; NULL: none. */
struct client_stream *client_ready_stream(struct client *c);
/* Sends what waits and receives until some stream is ready. 0; ERR_DEADLINE after timeout_ns;
 * -EINTR: wake_fd is readable; ERR_UNAVAILABLE: the connection is gone and its streams have ended
 * (they are ready too). */
int client_wait(struct client *c, uint64_t timeout_ns, int wake_fd, struct err *e);

#endif
