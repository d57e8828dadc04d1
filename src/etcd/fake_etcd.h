/*
 * fake_etcd: what the hub and the services stand on, small enough for their tests: calls that
 * record what was sent, a store that keeps its history in an array, a server that holds proposals
 * until the test applies them.
 */
#ifndef ETCD_FAKE_ETCD_H
#define ETCD_FAKE_ETCD_H

#include "etcd/api.h"

#define FAKE_CLUSTER_ID 0xcdf818194e3a8c32u
#define FAKE_MEMBER_ID  0x8e9e05c52164694du
#define FAKE_TERM       2
#define FAKE_MIN_TTL_S  2

/* --- store --- */

struct mvcc *fake_mvcc_new(void); /* at revision 1 */
/* One write of one event each: the new revision. */
int64_t fake_put(struct mvcc *m, const char *key, const char *value, int64_t lease);
int64_t fake_delete(struct mvcc *m, const char *key);
/* Several events in one revision: between these, put and delete share it. */
void fake_begin(struct mvcc *m);
int64_t fake_end(struct mvcc *m);
/* Events of a revision. */
const struct mvcc_event *fake_events(struct mvcc *m, int64_t rev, size_t *ret_n);
void fake_compact(struct mvcc *m, int64_t rev);
/* mvcc_events, mvcc_range and mvcc_prev fail with it from now on; 0: no more. */
void fake_mvcc_fail(struct mvcc *m, int code);

/* --- server --- */

struct server *fake_server_new(void);
void fake_server_free(struct server *s); /* answers what is pending with ERR_STOPPED */
size_t fake_pending(const struct server *s);
/* Applies the oldest proposal: store, watches, done. */
void fake_apply(struct server *s);
void fake_apply_all(struct server *s);
/* A client's write: applied and published at once. */
int64_t fake_client_put(struct server *s, const char *key, const char *value, int64_t lease);
int64_t fake_client_delete(struct server *s, const char *key);
/* The lease ends: its keys go in one revision, published. */
void fake_lease_end(struct server *s, int64_t id);
void fake_set_read_check(struct server *s, int code);
void fake_set_refuse(struct server *s, int code); /* server_propose's answer; 0: accept */
void fake_set_quota_left(struct server *s, uint64_t bytes);
void fake_set_now(struct server *s, uint64_t now_ns);

/* --- calls --- */

struct grpc_call *fake_call(struct server *s, const struct grpc_method *table, const char *path);
void fake_call_free(struct grpc_call *c);
void fake_call_metadata(struct grpc_call *c, const char *name, const char *value);
/* Hands in a message; it and its bytes live until the call is freed. */
void fake_message(struct grpc_call *c, const ProtobufCMessage *msg);
void fake_cancel(struct grpc_call *c);
/* Bytes the peer has not read: grown by each send, set here; a fall below the low water calls
 * on_writable. */
void fake_set_queued(struct grpc_call *c, size_t bytes);
/* Messages count but are not kept: for measurements. */
void fake_call_discard(struct grpc_call *c);
size_t fake_sent(const struct grpc_call *c);
struct slice fake_sent_bytes(const struct grpc_call *c, size_t i);
/* The next unread message, decoded; NULL if there is none. Lives until the call is freed. */
const ProtobufCMessage *fake_next(struct grpc_call *c, const ProtobufCMessageDescriptor *d);
bool fake_finished(const struct grpc_call *c);
int fake_status(const struct grpc_call *c);
const char *fake_text(const struct grpc_call *c);

#endif
