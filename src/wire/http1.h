/*
 * http1: HTTP/1.1 on the server's side, strict and bounded, without a socket (RFC 9112).
 *
 * http1_feed takes what arrived and calls the handler for each complete request; answers gather in
 * order in http1_output. Any method token is accepted; bodies by Content-Length or chunked;
 * keep-alive, pipelining, Expect: 100-continue. Refused with 400 (or 413, 414, 417, 431, 501, 505)
 * and a closed connection: both lengths at once, a second Content-Length (even an equal one), any
 * transfer coding but a single "chunked", bare CR or bare LF line ends, folded headers, blanks
 * before the colon, control bytes, missing or double Host in 1.1, CONNECT, anything past
 * wire/limits.h. The refusal's body says what was wrong; http1_parse.h has the fine print.
 *
 * Within the handler only http_reply may be called, within an on_abort nothing of this.
 */
#ifndef WIRE_HTTP1_H
#define WIRE_HTTP1_H

#include "base/buf.h"
#include "wire/http.h"

struct http1;

/* body_max: bytes of the largest accepted body. The handler is called from within http1_feed. */
struct http1 *http1_new(http_handler *handler, void *ctx, size_t body_max);
/* Aborts open exchanges (their on_abort is called) and frees. NULL is fine. */
void http1_free(struct http1 *h);

/* 0: go on; 1: parsing has ended (error answered, Connection: close, or output that could not
 * grow): write the output, close once http1_done. Bytes after that are ignored.
 *
 * While LIMIT_HTTP1_PIPELINE exchanges wait for answers, or LIMIT_STREAM_QUEUE bytes of answers
 * wait to be sent, the rest of the input is kept (bounded by body_max and the header limits) and
 * http1_wants_read is false. Nobody goes on with what was kept but http1_feed: call it, with an
 * empty slice if nothing new has arrived, after bytes were consumed from the output. */
int http1_feed(struct http1 *h, struct slice in);
bool http1_wants_read(const struct http1 *h);
/* Bytes to send; consume what was sent with buf_consume, then call http1_feed. */
struct buf *http1_output(struct http1 *h);
/* True once everything is answered and the connection is to be closed (after the output is sent).
 */
bool http1_done(const struct http1 *h);
/* Called when output may have grown outside of http1_feed (an answer given later). */
void http1_set_output_hook(struct http1 *h, void (*hook)(void *ctx), void *ctx);
/* For idle and slow-peer timers: no request begun / in the middle of receiving one / waiting for an
 * answer (whatever else arrives meanwhile). */
enum http1_phase { HTTP1_IDLE, HTTP1_RECEIVING, HTTP1_ANSWERING };
enum http1_phase http1_phase(const struct http1 *h);

#endif
