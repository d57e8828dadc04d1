/*
 * grpc: remote calls on the server's side (gRPC over HTTP/2, PROTOCOL-HTTP2.md), without a socket.
 *
 * A program lists its methods in a table. For each call the connection makes a struct grpc_call
 * with an arena and state_size zeroed bytes for the method. Messages arrive decoded. The handler
 * answers with grpc_call_reply, or grpc_call_send any number of times and grpc_call_finish once; at
 * once or later. After finish, or after on_cancel returned, the call must not be touched.
 *
 * All calls into and out of here happen on the loop's thread. Nothing is written to the socket
 * inside these functions: the connection flushes once per turn of the loop.
 */
#ifndef WIRE_GRPC_H
#define WIRE_GRPC_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

struct grpc_call;

struct grpc_method {
    const char *path; /* "/etcdserverpb.KV/Range" */
    const ProtobufCMessageDescriptor *request;
    bool client_streaming; /* more than one message may arrive; a unary or server-streaming call
                              that gets a second message is refused */
    bool server_streaming; /* only tells the metrics */
    size_t state_size;
    /* A message arrived. msg and raw (its encoded bytes) live until the call ends for calls that
     * are not client_streaming, else until this returns. */
    void (*on_message)(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw);
    /* The client sends no more (client_streaming only). NULL: finish with status 0. */
    void (*on_half_close)(struct grpc_call *c);
    /* The call is going away unfinished: reset, connection lost, deadline passed, server stopping.
     * NULL where the method keeps nothing. The answer, if any, is sent by grpc itself. Not called
     * when the method has not been called before. */
    void (*on_cancel)(struct grpc_call *c);
    /* grpc_call_queued fell below GRPC_LOW_WATER after having been above it. May be NULL. */
    void (*on_writable)(struct grpc_call *c);
};

#define GRPC_LOW_WATER (32u * 1024)

/* Finds the method for a path; NULL: answered with UNIMPLEMENTED "unknown service X" / "unknown
 * method". */
struct grpc_methods;
struct grpc_methods *grpc_methods_new(void *app);
void grpc_methods_free(struct grpc_methods *m);
/* table ends with path NULL; rows are borrowed for the life of m. */
void grpc_methods_add(struct grpc_methods *m, const struct grpc_method *table);

/* Queries. */
void *grpc_call_app(const struct grpc_call *c); /* what grpc_methods_new was given */
void *grpc_call_state(struct grpc_call *c);     /* the method's state_size bytes, zeroed at start */
struct arena *grpc_call_arena(struct grpc_call *c);
const struct grpc_method *grpc_call_method(const struct grpc_call *c);
/* Request metadata by lower-case name; the first value, or p == NULL. "-bin" values stay encoded.
 */
struct slice grpc_call_metadata(const struct grpc_call *c, const char *name);
/* Bytes of answers given to the call that the transport has not yet taken. */
size_t grpc_call_queued(const struct grpc_call *c);

/* Answers. Each copies what it is given. Messages past LIMIT_RESPONSE_BYTES fail the call with
 * RESOURCE_EXHAUSTED and return ERR_LIMIT: the call is over as after finish, without on_cancel. */
int grpc_call_send(struct grpc_call *c, const ProtobufCMessage *msg);
/* One message whose encoding is the parts in order: for encodings shared by many calls. */
int grpc_call_send_parts(struct grpc_call *c, const struct slice *parts, size_t nparts);
/* Ends the call with a status; text NULL for 0. */
void grpc_call_finish(struct grpc_call *c, int grpc_status, const char *text);
/* send + finish(0). */
void grpc_call_reply(struct grpc_call *c, const ProtobufCMessage *msg);
/* finish with the status and text of a code of err_table.h. */
void grpc_call_fail(struct grpc_call *c, int code);

/* Counters of one method for /metrics, since start. */
struct grpc_method_stats {
    const struct grpc_method *method;
    uint64_t started, msg_received, msg_sent;
    uint64_t handled[17]; /* by grpc status */
};
/* Calls cb once a method. */
void grpc_methods_stats(const struct grpc_methods *m,
                        void (*cb)(void *ctx, const struct grpc_method_stats *s), void *ctx);
/* Bytes of messages, without framing and headers. */
uint64_t grpc_methods_bytes_received(const struct grpc_methods *m);
uint64_t grpc_methods_bytes_sent(const struct grpc_methods *m);
/* Unary calls whose method was called and has not yet answered. */
size_t grpc_methods_unary_open(const struct grpc_methods *m);

#endif
