/*
 * grpc_internal: what the files of the gRPC server share.
 */
#ifndef WIRE_GRPC_INTERNAL_H
#define WIRE_GRPC_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "wire/grpc.h"
#include "wire/grpc_conn.h"
#include "wire/grpc_text.h"

#define CALL_POOL_MAX 1024 /* idle calls kept for reuse, with a chunk of memory each: 5 MiB */

struct grpc_methods {
    void *app;
    struct map by_path;     /* struct method_entry */
    struct map services;    /* service name, from "/service/method", to any of its entries */
    struct list entries;    /* in the order they were added */
    struct list idle_calls; /* pool */
    size_t idle;
    size_t unary_open;
    struct arena scratch; /* the message a client-streaming call is being given */
    uint64_t bytes_received, bytes_sent;
};

struct method_entry {
    struct list node;
    struct grpc_method_stats stats;
};

struct grpc_conn {
    const struct grpc_conn_conf *conf;
    struct http2 *h2;
    struct list calls;
    struct list parked; /* calls whose request is complete, see grpc_conn_resume */
    struct list exchanges;
    size_t open;          /* in both lists */
    size_t request_bytes; /* held for them, see LIMIT_CONN_REQUESTS */
    uint64_t now_ns;
    uint64_t deadline_ns; /* no call's deadline is earlier; UINT64_MAX: none has one */
};

/* The user of a server stream begins with one of these: struct grpc_call, struct exchange. */
enum stream_kind { STREAM_CALL, STREAM_EXCHANGE };

struct grpc_call {
    enum stream_kind kind;
    struct list node; /* in grpc_conn.calls or .parked, or idle_calls */
    struct grpc_conn *conn;
    struct http2_stream *stream; /* NULL once the transport has let go */
    struct method_entry *entry;
    const struct grpc_method *m;
    void *state;
    struct arena arena;
    struct grpc_reader reader;
    struct slice raw; /* the request of a call that is not client_streaming */
    struct http_header *metadata;
    size_t nmetadata;
    size_t held; /* this call's part of request_bytes */
    uint64_t deadline_ns;
    bool got_message; /* raw is set */
    bool started;     /* the method has been called */
    bool parked;
    bool answered; /* headers were sent */
    bool finished;
    bool counted; /* in unary_open */
    bool busy;    /* inside a callback: free later */
};

/* What of a request's header block decides where it goes. */
struct request_head {
    struct slice method, path, authority, content_type, timeout, encoding;
};
static inline bool is_grpc(struct slice content_type)
{
    static const struct slice want = {(const uint8_t *)"application/grpc", 16};

    return slice_starts(content_type, want) &&
           (content_type.n == 16 || content_type.p[16] == '+' || content_type.p[16] == ';');
}

/* grpc.c: the text for a path that leads nowhere, as grpc-go words it; its length, as snprintf. */
int grpc_unknown_path(const struct grpc_methods *m, struct slice path, char *ret_text, size_t size);

/* grpc_call.c */
struct grpc_call *call_take(struct grpc_methods *m);
void call_pool_free(struct grpc_methods *m);
/* A request with a gRPC content type came in: makes the call or answers why not. */
void call_begin(struct grpc_conn *c, struct http2_stream *s, const struct request_head *head,
                const struct http_header *h, size_t n);
void call_data(struct grpc_call *call, struct slice data);
void call_half_close(struct grpc_call *call);
void call_unpark(struct grpc_call *call);
void call_writable(struct grpc_call *call);
/* The stream is gone. */
void call_lost(struct grpc_call *call);
/* Tells the method, then answers with status and text. */
void call_abort(struct grpc_call *call, int status, const char *text);

/* http2_exchange.c */
void exchange_begin(struct grpc_conn *c, struct http2_stream *s, const struct request_head *head,
                    const struct http_header *h, size_t n);
struct exchange;
void exchange_data(struct exchange *x, struct slice data);
void exchange_end(struct exchange *x);
void exchange_lost(struct exchange *x);
/* An answer without a handler; the text is the status's own. */
void respond_status(struct http2_stream *s, int status);

#endif
