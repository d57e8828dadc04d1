/*
 * server_internal: what server.c (listening, turns of the loop, stop) and conn.c (one connection)
 * share.
 */
#ifndef IO_SERVER_INTERNAL_H
#define IO_SERVER_INTERNAL_H

#include "base/clock.h"
#include "base/list.h"
#include "io/server.h"
#include "io/tls.h"
#include "wire/grpc_conn.h"
#include "wire/http1.h"
#include "wire/http2_guard.h"

#define READ_BYTES  (64u * 1024)   /* one read; shared, as input is taken at once */
#define PLAIN_MAX   (1024u * 1024) /* what one read can decrypt to, and far more */
#define PREFACE_LEN 24u

struct io_server {
    struct io_server_conf conf;
    struct grpc_conn_conf grpc;
    struct list listeners;
    struct list conns;
    struct list dirty; /* connections with something to flush */
    size_t nconns;
    size_t nhandles; /* the server's own, not yet closed */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* runs while the dirty list must not wait for the next event */
    uv_timer_t sweep;
    bool received; /* in this turn */
    bool stopping;
    uint64_t stop_ns; /* end of grace */
    void (*stopped)(void *ctx);
    void *stopped_ctx;
    struct rate tls_log; /* failed handshakes are logged at a bounded rate */
    struct buf plain;
    uint8_t in[READ_BYTES];
};

/*
 *   DETECT ──preface──▶ HTTP2 ─┐
 *      └────anything───▶ HTTP1 ─┴─▶ LINGER ──▶ CLOSED
 *
 * LINGER: everything is sent and FIN too; input is thrown away until the peer's FIN, because
 * closing with unread input would reset the connection under the last answer. CLOSED: the handle is
 * being closed.
 */
enum conn_state { CONN_DETECT, CONN_HTTP2, CONN_HTTP1, CONN_LINGER, CONN_CLOSED };

struct conn {
    struct io_server *server;
    struct list node;
    struct list dirty;
    uv_tcp_t tcp;
    enum conn_state state;
    struct tls_conn *tls;
    struct grpc_conn *h2;
    struct http1 *h1;
    uint8_t seen[PREFACE_LEN]; /* CONN_DETECT */
    size_t nseen;
    struct buf writing; /* bytes of the uv_write under way; n > 0 means there is one */
    uv_write_t write;
    uv_shutdown_t shutdown;
    size_t write_left; /* as last seen, to notice progress */
    uint64_t since_ns; /* of the state; HTTP1: of the phase */
    uint64_t write_ns; /* of the last progress in writing */
    enum http1_phase phase;
    bool reading;
    bool eof;  /* the peer's FIN came */
    bool over; /* TLS has ended, well or not: nothing more is taken */
    bool more; /* the output was full: flush again at once */
};

static inline uint64_t server_now_ns(const struct io_server *s)
{
    return uv_now(s->conf.loop) * NS_PER_MS;
}

/* conn.c */
/* Takes the connection that waits on the listener, or turns it away. */
void conn_accept(struct io_server *s, uv_stream_t *listener, struct tls_context *tls);
/* Runs what waited for room in the output. */
void conn_resume(struct conn *c);
/* Writes what there is, closes when all is done. */
void conn_flush(struct conn *c);
/* Timers. */
void conn_tick(struct conn *c, uint64_t now_ns);
/* Ends open calls, lets answers out, takes nothing new. */
void conn_stop(struct conn *c);
void conn_close(struct conn *c); /* at once */

/* server.c */
void server_conn_dirty(struct conn *c);
/* A handle of the server or its last connection is gone. */
void server_check_stopped(struct io_server *s);

#endif
