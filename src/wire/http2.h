/*
 * http2: one HTTP/2 connection (RFC 9113), server or client, without a socket and without a clock.
 *
 * The shell feeds what arrived, calls http2_flush once per turn and writes http2_output. Streams
 * are owned by the connection: a struct http2_stream is valid until on_close for it returned.
 * Everything a callback may do (send, reset, open streams) may also be done outside of one; the
 * only calls not allowed inside a callback are http2_feed, http2_flush, http2_tick and http2_free.
 *
 * Received bytes are taken at once: flow-control windows are renewed as data is delivered. Sent
 * bytes queue per stream and move to the output as the peer's windows allow, so a slow reader grows
 * http2_stream_queued, not the output, which stays near HTTP2_OUTPUT_HIGH.
 *
 * Misbehaving peers are sent away with GOAWAY (http2_done turns true): floods of resets, PING,
 * SETTINGS and empty DATA frames; pings more often than keepalive_min_ns allows
 * ("too_many_pings", rules as in grpc-go).
 */
#ifndef WIRE_HTTP2_H
#define WIRE_HTTP2_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "wire/http.h"

#define HTTP2_OUTPUT_HIGH                                                                          \
    (256u * 1024)                    /* http2_flush stops here; the rest stays with its stream     \
                                      */
#define HTTP2_LOW_WATER (32u * 1024) /* on_writable when the queue sinks below this again */

/* One stream's waiting bytes: two answers of the largest kind; see also LIMIT_STREAM_QUEUE. */
#define HTTP2_STREAM_QUEUE_MAX (2 * (size_t)LIMIT_RESPONSE_BYTES + (1u << 20))
#define HTTP2_TRAILERS_MAX     32 /* fields of one trailer block we send */

/* Error codes of RST_STREAM and GOAWAY used here (RFC 9113 section 7). */
enum http2_error {
    HTTP2_NO_ERROR = 0,
    HTTP2_PROTOCOL_ERROR = 1,
    HTTP2_INTERNAL_ERROR = 2,
    HTTP2_REFUSED_STREAM = 7,
    HTTP2_CANCEL = 8,
    HTTP2_ENHANCE_YOUR_CALM = 11,
};

struct http2;
struct http2_stream;

/* What the connection tells its user. Unused rows may be NULL. */
struct http2_ops {
    /* A complete header block, pseudo-headers (":path", ":status" ...) included and first, names in
     * lower case; valid until this returns. Server: the request. Client: the answer (1xx blocks are
     * skipped). too_large: the block passed LIMIT_HEADER_BYTES or LIMIT_HEADER_COUNT and is
     * incomplete; the stream has to be refused. end: nothing follows, on_end comes next. */
    void (*on_headers)(struct http2_stream *s, const struct http_header *h, size_t n,
                       bool too_large, bool end);
    /* A header block after data (gRPC status on the client's side). on_end follows. */
    void (*on_trailers)(struct http2_stream *s, const struct http_header *h, size_t n);
    void (*on_data)(struct http2_stream *s, struct slice data); /* as it came, any length > 0 */
    void (*on_end)(struct http2_stream *s);                     /* the peer sends no more */
    /* http2_stream_queued sank below HTTP2_LOW_WATER after having been above it. */
    void (*on_writable)(struct http2_stream *s);
    /* The stream is gone, in order (HTTP2_NO_ERROR: both sides ended) or not. The last callback. Is
     * also called for every open stream by http2_free, with HTTP2_CANCEL. Server: not called for
     * streams whose on_headers was not. */
    void (*on_close)(struct http2_stream *s, uint32_t error);
    /* The peer takes no new streams. Open ones up to last_stream_id go on; streams above it are
     * closed with HTTP2_REFUSED_STREAM. */
    void (*on_goaway)(struct http2 *h, uint32_t error, int32_t last_stream_id, struct slice text);
};

struct http2_conf {
    bool server;
    uint32_t streams_max;           /* the peer may have open at once */
    uint64_t keepalive_min_ns;      /* server: pings closer than this are strikes; 0: no policing */
    uint64_t keepalive_interval_ns; /* ping a peer silent for this long; 0: never */
    uint64_t keepalive_timeout_ns;  /* http2_done when it stays silent this long after */
    bool keepalive_without_streams; /* client: ping also while no stream is open */
    const struct http2_ops *ops;    /* borrowed */
    void *user;                     /* http2_user */
};

/* Life cycle. conf is copied. The first http2_flush gives preface and SETTINGS. */
struct http2 *http2_new(const struct http2_conf *conf, uint64_t now_ns);
void http2_free(struct http2 *h); /* closes open streams with HTTP2_CANCEL; NULL is fine */

/* Takes received bytes. 0, or ERR_MALFORMED when the connection is beyond repair: flush once more
 * (GOAWAY), then close. */
int http2_feed(struct http2 *h, struct slice in, uint64_t now_ns);
/* Moves what may be sent into the output, up to HTTP2_OUTPUT_HIGH. */
void http2_flush(struct http2 *h);
/* Bytes to send; consume what was sent with buf_consume. */
struct buf *http2_output(struct http2 *h);
/* hook is called when http2_flush may have got something to do outside of http2_feed; once until
 * the next flush. */
void http2_set_output_hook(struct http2 *h, void (*hook)(void *ctx), void *ctx);
/* True once nothing more will be read or sent: close when the output is written. */
bool http2_done(const struct http2 *h);
/* Keepalive. Call http2_tick at or after http2_wake_ns (UINT64_MAX: not needed), then flush. */
uint64_t http2_wake_ns(const struct http2 *h);
void http2_tick(struct http2 *h, uint64_t now_ns);
/* Says GOAWAY NO_ERROR: streams already open go on, new ones are refused. */
void http2_shutdown(struct http2 *h);
/* Says GOAWAY with an error and a text, and ends the connection. */
void http2_terminate(struct http2 *h, enum http2_error error, const char *text);

void *http2_user(const struct http2 *h);
size_t http2_open_streams(const struct http2 *h);
/* Bytes waiting in all streams plus the output: beyond LIMIT_CONN_QUEUE stop reading. */
size_t http2_queued(const struct http2 *h);
/* False after GOAWAY in either direction: no new requests on this connection. */
bool http2_usable(const struct http2 *h);

/*
 * Streams.
 */

/* Client: opens a stream with the request's headers (pseudo-headers first); end: no body follows.
 * NULL when the connection takes no more. Past the peer's limit of concurrent streams the request
 * waits inside. */
struct http2_stream *http2_request(struct http2 *h, const struct http_header *headers, size_t n,
                                   bool end, void *user);
/* Server: the answer's headers (":status" first), once. Names and values are copied, except with
 * http2_respond_static. end: no body, no trailers. 0, or -EPIPE on a stream already answered. */
int http2_respond(struct http2_stream *s, const struct http_header *headers, size_t n, bool end);
/* The same for headers in memory that never changes or goes away. */
int http2_respond_static(struct http2_stream *s, const struct http_header *headers, size_t n);

/* Appends body bytes. 0, -EPIPE after the end was said or the stream was reset, -ENOBUFS past
 * HTTP2_STREAM_QUEUE_MAX. */
int http2_send(struct http2_stream *s, struct slice data);
/* Room for n body bytes that the caller fills at once, before any other call here; NULL as above.
 */
uint8_t *http2_send_reserve(struct http2_stream *s, size_t n);
/* After the queued bytes: end the stream. Double calls are ignored. */
void http2_send_end(struct http2_stream *s);
/* Server: after the queued bytes, trailers, and with them the end. Copied. As every end said before
 * the peer's own, it is followed by RST_STREAM(NO_ERROR). */
void http2_send_trailers(struct http2_stream *s, const struct http_header *headers, size_t n);
/* The same for headers in memory that never changes or goes away. */
void http2_send_trailers_static(struct http2_stream *s, const struct http_header *headers,
                                size_t n);
void http2_reset(struct http2_stream *s, enum http2_error error); /* drops what is queued */

size_t http2_stream_queued(const struct http2_stream *s);
int32_t http2_stream_id(const struct http2_stream *s);
bool http2_stream_ended(const struct http2_stream *s); /* the peer sends no more */
struct http2 *http2_stream_conn(const struct http2_stream *s);
void http2_stream_set_user(struct http2_stream *s, void *user);
void *http2_stream_user(const struct http2_stream *s);

#endif
