#include "etcd/watch_wire.h"

/* Protobuf tags: field number << 3 | wire type (0 varint, 2 bytes). */
enum {
    TAG_HEADER = 1 << 3 | 2,
    TAG_WATCH_ID = 2 << 3,
    TAG_CREATED = 3 << 3,
    TAG_CANCELED = 4 << 3,
    TAG_COMPACT_REV = 5 << 3,
    TAG_REASON = 6 << 3 | 2,
    TAG_FRAGMENT = 7 << 3,
    TAG_EVENTS = 11 << 3 | 2,

    TAG_EVENT_TYPE = 1 << 3,
    TAG_EVENT_KV = 2 << 3 | 2,
    TAG_EVENT_PREV = 3 << 3 | 2,

    TAG_KV_KEY = 1 << 3 | 2,
    TAG_KV_CREATE = 2 << 3,
    TAG_KV_MOD = 3 << 3,
    TAG_KV_VERSION = 4 << 3,
    TAG_KV_VALUE = 5 << 3 | 2,
    TAG_KV_LEASE = 6 << 3,
};
#define EVENT_TYPE_DELETE 1

static inline size_t varint_size(uint64_t v)
{
    return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static inline size_t number_size(uint64_t v)
{
    return v ? 1 + varint_size(v) : 0;
}

static inline uint8_t *put_number(uint8_t *p, uint8_t tag, uint64_t v)
{
    if (!v)
        return p;
    *p++ = tag;
    return put_varint(p, v);
}

static inline size_t bytes_size(size_t n)
{
    return n ? 1 + varint_size(n) + n : 0;
}

static inline uint8_t *put_bytes(uint8_t *p, uint8_t tag, struct slice s)
{
    if (!s.n)
        return p;
    *p++ = tag;
    p = put_varint(p, s.n);
    memcpy(p, s.p, s.n);
    return p + s.n;
}

void watch_wire_header_set(struct watch_wire_header *h, uint64_t cluster_id, uint64_t member_id,
                           int64_t revision, uint64_t raft_term)
{
    size_t inner = number_size(cluster_id) + number_size(member_id) +
                   number_size((uint64_t)revision) + number_size(raft_term);
    uint8_t *p = h->bytes;

    *p++ = TAG_HEADER;
    p = put_varint(p, inner);
    p = put_number(p, 1 << 3, cluster_id);
    p = put_number(p, 2 << 3, member_id);
    p = put_number(p, 3 << 3, (uint64_t)revision);
    p = put_number(p, 4 << 3, raft_term);
    h->n = (size_t)(p - h->bytes);
    assert(h->n <= sizeof h->bytes);
}

size_t watch_wire_head_put(uint8_t out[WATCH_HEAD_MAX], const struct watch_wire_head *h)
{
    uint8_t *p = out;

    memcpy(p, h->header->bytes, h->header->n);
    p += h->header->n;
    p = put_number(p, TAG_WATCH_ID, (uint64_t)h->watch_id);
    p = put_number(p, TAG_CREATED, h->created);
    p = put_number(p, TAG_CANCELED, h->canceled);
    p = put_number(p, TAG_COMPACT_REV, (uint64_t)h->compact_rev);
    if (h->reason) {
        struct slice reason = slice_str(h->reason);
        assert(reason.n <= WATCH_REASON_MAX);
        p = put_bytes(p, TAG_REASON, reason);
    }
    p = put_number(p, TAG_FRAGMENT, h->fragment);
    return (size_t)(p - out);
}

static size_t kv_size(const struct mvcc_kv *kv)
{
    return bytes_size(kv->key.n) + number_size((uint64_t)kv->create_rev) +
           number_size((uint64_t)kv->mod_rev) + number_size((uint64_t)kv->version) +
           bytes_size(kv->value.n) + number_size((uint64_t)kv->lease);
}

static uint8_t *put_kv(uint8_t *p, uint8_t tag, const struct mvcc_kv *kv, size_t size)
{
    *p++ = tag;
    p = put_varint(p, size);
    p = put_bytes(p, TAG_KV_KEY, kv->key);
    p = put_number(p, TAG_KV_CREATE, (uint64_t)kv->create_rev);
    p = put_number(p, TAG_KV_MOD, (uint64_t)kv->mod_rev);
    p = put_number(p, TAG_KV_VERSION, (uint64_t)kv->version);
    p = put_bytes(p, TAG_KV_VALUE, kv->value);
    return put_number(p, TAG_KV_LEASE, (uint64_t)kv->lease);
}

int watch_wire_event_put(struct buf *out, const struct mvcc_event *ev, const struct mvcc_kv *prev)
{
    uint64_t type = ev->is_delete ? EVENT_TYPE_DELETE : 0;
    const struct mvcc_kv gone = {.key = ev->kv.key, .mod_rev = ev->kv.mod_rev};
    const struct mvcc_kv *now = ev->is_delete ? &gone : &ev->kv;
    size_t kv = kv_size(now);
    size_t before = prev ? kv_size(prev) : 0;
    size_t inner = number_size(type) + 1 + varint_size(kv) + kv +
                   (prev ? 1 + varint_size(before) + before : 0);
    size_t all = 1 + varint_size(inner) + inner;

    int r = buf_reserve(out, all);
    if (r < 0)
        return r;
    uint8_t *start = out->p + out->n, *p = start;
    *p++ = TAG_EVENTS;
    p = put_varint(p, inner);
    p = put_number(p, TAG_EVENT_TYPE, type);
    p = put_kv(p, TAG_EVENT_KV, now, kv);
    if (prev)
        p = put_kv(p, TAG_EVENT_PREV, prev, before);
    assert((size_t)(p - start) == all);
    out->n += all;
    return 0;
}
