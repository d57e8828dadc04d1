/*
 * pb: protobuf-c with an arena behind it.
 */
#ifndef WIRE_PB_H
#define WIRE_PB_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"

#define PB_DEPTH_MAX 100 /* messages within messages: decoding recurses on the stack */

/* Decodes bytes into memory of the arena (never freed one by one). Strings and bytes are copies.
 * NULL when the bytes are malformed, nest deeper than PB_DEPTH_MAX, or the arena's maximum is
 * passed. */
ProtobufCMessage *pb_unpack(const ProtobufCMessageDescriptor *d, struct arena *a, struct slice in);
/* Appends the encoding; 0 or -ENOBUFS. */
int pb_pack(const ProtobufCMessage *m, struct buf *out);

#define PB_BYTES(s) ((ProtobufCBinaryData){(s).n, (uint8_t *)(uintptr_t)(s).p})
static inline struct slice pb_slice(ProtobufCBinaryData d)
{
    return (struct slice){d.data, d.len};
}

#endif
