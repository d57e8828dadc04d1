/*
 * http1_parse: HTTP/1.1 requests out of a stream of bytes, however it was cut (RFC 9112). Pure.
 *
 * The parser fills a message that its user owns and keeps until the request is answered; then the
 * user hands it the next one:
 *
 *     http1_parser_next(&p, &message);
 *     r = http1_parse(&p, &in);     MORE: all of in was taken, feed on
 *                                   HEAD: the head is complete and a body follows; call again
 *                                   REQUEST: message is complete; what is left of in is the next's
 *                                   ERR_MALFORMED: p.refusal says why; nothing follows
 *
 * The outcome, and the byte it falls on, depend on the bytes alone and never on where the stream
 * was cut.
 *
 * What RFC 9112 leaves open is decided towards refusing: one reading, or none. Notable:
 *   - line ends are CRLF only; one empty line before a request is skipped (RFC 9112, 2.2)
 *   - a second Content-Length, Transfer-Encoding or Host field is refused, even an equal one
 *   - Transfer-Encoding with Content-Length, or in HTTP/1.0, is refused
 *   - chunk extensions must be well formed (without blanks around ';' and '='), are bounded and
 *     dropped; trailer fields must be well formed, must not be of the framing kind (Content-Length,
 *     Host...), count as header fields, and are dropped
 *   - Upgrade is ignored, h2c too
 */
#ifndef WIRE_HTTP1_PARSE_H
#define WIRE_HTTP1_PARSE_H

#include "base/arena.h"
#include "base/buf.h"
#include "wire/http1_grammar.h"

#define HTTP1_CHUNK_LINE 256  /* size, extensions, CRLF: no client in use sends extensions */
#define HTTP1_CHUNK_EXTS 1024 /* bytes of extensions in one body, however many chunks */

/* A request and the memory its slices point into. */
struct http1_message {
    struct http_request req;
    struct arena head;
    struct buf body;
};
void http1_message_init(struct http1_message *m, size_t body_max);
void http1_message_deinit(struct http1_message *m);

enum http1_state {
    HTTP1_START,      /* before the request line */
    HTTP1_FIELDS,     /* header fields */
    HTTP1_LENGTH,     /* a body of known length */
    HTTP1_CHUNK_SIZE, /* chunked body: the line that gives a chunk's size */
    HTTP1_CHUNK_DATA,
    HTTP1_CHUNK_END, /* the CRLF after a chunk's data */
    HTTP1_TRAILERS,
    HTTP1_COMPLETE, /* until http1_parser_next */
    HTTP1_REFUSED,
    HTTP1_STATES
};

struct http1_parser {
    enum http1_state state;
    struct http1_message *msg;
    size_t body_max;
    struct buf line;    /* a line whose end has not come yet */
    size_t field_bytes; /* of header and trailer fields so far */
    size_t nfields;     /* the same */
    uint64_t left;      /* bytes of the body, or of the chunk, still to come */
    size_t ext_bytes;   /* of chunk extensions so far */
    bool blank_skipped, has_host, has_length, chunked;
    bool close, keep_alive;       /* as the Connection fields ask */
    bool expects_continue;        /* valid from HEAD on: the client waits for a 100 */
    struct http1_refusal refusal; /* valid after ERR_MALFORMED */
};

/* body_max: bytes of the largest accepted body. */
void http1_parser_init(struct http1_parser *p, size_t body_max);
void http1_parser_deinit(struct http1_parser *p);
/* m is borrowed until it is complete or refused. */
void http1_parser_next(struct http1_parser *p, struct http1_message *m);

enum http1_outcome { HTTP1_MORE = 0, HTTP1_HEAD, HTTP1_REQUEST };
/* Takes bytes from the front of *in: an http1_outcome, or ERR_MALFORMED. */
int http1_parse(struct http1_parser *p, struct slice *in);
/* Whether a byte of a request has come that is not yet complete. */
bool http1_parser_begun(const struct http1_parser *p);

#endif
