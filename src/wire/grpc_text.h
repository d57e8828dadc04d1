/*
 * grpc_text: the small notations of gRPC over HTTP/2 (PROTOCOL-HTTP2.md), for both sides: message
 * framing, percent-encoded status messages, timeouts.
 */
#ifndef WIRE_GRPC_TEXT_H
#define WIRE_GRPC_TEXT_H

#include "base/buf.h"
#include "base/err.h"

#define GRPC_FRAME_HEAD 5u    /* compressed flag, length */
#define GRPC_TEXT_MAX   2048u /* bytes of a status text we send; longer ones are cut */

static inline void grpc_frame_head(uint8_t *p, size_t n)
{
    p[0] = 0;
    put_be32(p + 1, (uint32_t)n);
}

/* Puts messages together out of pieces of any size. A message that lies whole in one piece is not
 * copied. Invariant: need is 0 while no head of a message is complete. */
struct grpc_reader {
    uint8_t head[GRPC_FRAME_HEAD];
    uint8_t head_n;
    bool in_body;
    size_t need;     /* length of the message being read */
    size_t max;      /* of a message */
    struct buf body; /* the part that has come, when not whole in one piece */
};
enum grpc_read {
    GRPC_READ_MORE,       /* all input taken, no message complete */
    GRPC_READ_MESSAGE,    /* *ret_msg is a message, valid until the next call */
    GRPC_READ_COMPRESSED, /* no codec here has been agreed on */
    GRPC_READ_TOO_LARGE,  /* need > max */
};

void grpc_reader_init(struct grpc_reader *r, size_t max);
void grpc_reader_deinit(struct grpc_reader *r);
/* Takes bytes from the front of *in. */
enum grpc_read grpc_reader_next(struct grpc_reader *r, struct slice *in, struct slice *ret_msg);
/* True in the middle of a message: the peer must not end here. */
static inline bool grpc_reader_midway(const struct grpc_reader *r)
{
    return r->in_body || r->head_n > 0;
}

/* Appends text with bytes outside printable ASCII, and '%', as %XX. */
int grpc_text_encode(struct slice text, struct buf *out);
/* The reverse; what is no valid escape stays as it is. */
int grpc_text_decode(struct slice text, struct buf *out);
/* "5S", "100m" ... to nanoseconds (saturated): 0 or -EINVAL. */
int grpc_timeout_parse(struct slice s, uint64_t *ret_ns);
/* Writes the timeout with at most 8 digits, rounded up; the number of bytes. */
size_t grpc_timeout_format(uint64_t ns, char out[16]);

#endif
