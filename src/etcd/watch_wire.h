/*
 * watch_wire: the few encodings a watch answer is put together from, written by hand so that one
 * encoding of an event serves every watcher that gets it.
 *
 *   WatchResponse = head (header, watch_id, flags; small, per watcher) + event fields (shared)
 *
 * Protobuf fields of a message may be concatenated, so the parts need no common length. Bytes are
 * the same as protobuf's own encoder gives: fields in number order, zero values left out.
 */
#ifndef ETCD_WATCH_WIRE_H
#define ETCD_WATCH_WIRE_H

#include "base/buf.h"
#include "etcd/mvcc.h"

/* A ResponseHeader, encoded as field 1. Four varints of 10 bytes, their tags, tag and length. */
struct watch_wire_header {
    uint8_t bytes[48];
    size_t n;
};
/* Zero numbers are left out, as protobuf does. */
void watch_wire_header_set(struct watch_wire_header *h, uint64_t cluster_id, uint64_t member_id,
                           int64_t revision, uint64_t raft_term);

/* All but the events. reason: "" or a text of at most WATCH_REASON_MAX bytes. */
struct watch_wire_head {
    const struct watch_wire_header *header;
    int64_t watch_id;
    bool created, canceled, fragment;
    int64_t compact_rev;
    const char *reason;
};
#define WATCH_REASON_MAX 128 /* longer than any reason we give */
#define WATCH_HEAD_MAX   (48 + 11 + 2 + 2 + 11 + 3 + WATCH_REASON_MAX + 2)
/* Writes the head and returns its length. */
size_t watch_wire_head_put(uint8_t out[WATCH_HEAD_MAX], const struct watch_wire_head *h);

/* Appends ev as one element of WatchResponse.events, tag and length included. prev: the pair before
 * it, or NULL. 0 or -ENOBUFS (nothing appended). */
int watch_wire_event_put(struct buf *out, const struct mvcc_event *ev, const struct mvcc_kv *prev);

#endif
