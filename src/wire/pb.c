#include "wire/pb.h"

#define WIRE_VARINT 0
#define WIRE_64BIT  1
#define WIRE_BYTES  2
#define WIRE_32BIT  5

static void *alloc_from_arena(void *arena, size_t n)
{
    return arena_alloc(arena, n);
}

static void free_to_arena(void *arena, void *p)
{
}

/* Reads a varint of at most max bytes, the same bound protobuf-c sets; NULL when it does not end.
 */
static const uint8_t *read_varint(const uint8_t *p, const uint8_t *end, int max, uint64_t *ret)
{
    uint64_t v = 0;

    for (int i = 0; i < max && p < end; i++) {
        v |= (uint64_t)(*p & 0x7f) << (7 * i);
        if (!(*p++ & 0x80)) {
            *ret = v;
            return p;
        }
    }
    return NULL;
}

/* Steps over a value that is no message. */
static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end, unsigned wire)
{
    uint64_t n = 0;

    switch (wire) {
    case WIRE_VARINT:
        return read_varint(p, end, 10, &n);
    case WIRE_64BIT:
        n = 8;
        break;
    case WIRE_32BIT:
        n = 4;
        break;
    case WIRE_BYTES:
        p = read_varint(p, end, 5, &n);
        break;
    default: /* groups: proto2's past */
        return NULL;
    }
    return p && n <= (size_t)(end - p) ? p + n : NULL;
}

static const ProtobufCMessageDescriptor *child_of(const ProtobufCMessageDescriptor *d,
                                                  unsigned number)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(d, number);

    return f && f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL;
}

/* protobuf-c calls itself for each message within a message and has no limit of its own. This walks
 * the same tree beforehand, with a stack of fixed size. */
static bool depth_allowed(const ProtobufCMessageDescriptor *d, struct slice in)
{
    struct {
        const ProtobufCMessageDescriptor *d;
        const uint8_t *end;
    } stack[PB_DEPTH_MAX];
    int top = 0;
    const uint8_t *p = in.p;

    stack[0].d = d;
    stack[0].end = in.p + in.n;
    for (;;) {
        while (p == stack[top].end)
            if (top-- == 0)
                return true;
        uint64_t tag, n;
        p = read_varint(p, stack[top].end, 5, &tag);
        if (!p)
            return false;
        const ProtobufCMessageDescriptor *child =
            (tag & 7) == WIRE_BYTES ? child_of(stack[top].d, (unsigned)(tag >> 3)) : NULL;
        if (!child) {
            p = skip_value(p, stack[top].end, tag & 7);
            if (!p)
                return false;
            continue;
        }
        p = read_varint(p, stack[top].end, 5, &n);
        if (!p || n > (size_t)(stack[top].end - p) || ++top == PB_DEPTH_MAX)
            return false;
        stack[top].d = child;
        stack[top].end = p + n;
    }
}

ProtobufCMessage *pb_unpack(const ProtobufCMessageDescriptor *d, struct arena *a, struct slice in)
{
    ProtobufCAllocator arena = {alloc_from_arena, free_to_arena, a};

    assert(d);
    /* A level of nesting takes two bytes, so short messages need no look. */
    if (in.n >= 2 * PB_DEPTH_MAX && !depth_allowed(d, in))
        return NULL;
    return protobuf_c_message_unpack(d, &arena, in.n, in.n ? in.p : (const uint8_t *)"");
}

int pb_pack(const ProtobufCMessage *m, struct buf *out)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    int r = buf_reserve(out, n);

    if (r < 0)
        return r;
    if (n)
        out->n += protobuf_c_message_pack(m, out->p + out->n);
    return 0;
}
