/* The first byte chooses the message; what decodes must encode, and decode again to the same. */
#include "raft_request.pb-c.h"
#include "rpc.pb-c.h"
#include "wire/pb.h"

#define ARENA_MAX (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const kinds[] = {
        &etcdserverpb__txn_request__descriptor,
        &etcdserverpb__watch_request__descriptor,
        &steadpb__raft_request__descriptor,
    };
    struct arena a;

    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *d = kinds[data[0] % ARRAY_LEN(kinds)];
    cleanup_buf struct buf first, second;
    arena_init(&a, ARENA_MAX);
    buf_init(&first, ARENA_MAX);
    buf_init(&second, ARENA_MAX);
    const ProtobufCMessage *m = pb_unpack(d, &a, slice_of(data + 1, size - 1));
    if (m && pb_pack(m, &first) == 0) {
        m = pb_unpack(d, &a, buf_slice(&first));
        if (m && pb_pack(m, &second) == 0)
            assert(slice_eq(buf_slice(&first), buf_slice(&second)));
    }
    arena_deinit(&a);
    return 0;
}
