/*
 * observe: tells a stream who leads an election, from now on (Election.Observe). Every value of the
 * leader and every change of leader is sent while the stream keeps up; one that does not gets the
 * newest when it has drained.
 *
 *   NONE    nobody stands in the queue: the queue is watched for the first put
 *   LEADER  the leader's key is watched: puts are new values, its end means looking again
 *   SLOW    the stream is full: nothing is watched until it has drained
 *
 *   start -> look -+-> NONE --put--> LEADER --delete--> look
 *             ^    +-> LEADER
 *             +-- drained -- SLOW <-- full -- any
 */
#ifndef ETCD_OBSERVE_H
#define ETCD_OBSERVE_H

#include "etcd/server.h"
#include "wire/grpc.h"

struct observe;

/* How one pair goes to the stream: header_rev 0 means the store's revision. */
typedef void observe_send(struct grpc_call *c, const struct mvcc_kv *kv, int64_t header_rev);

/* name is copied. Looks at once; when the store cannot be read (also later) the call is finished
 * with the failure and *owner, which lives as long as the call, is cleared. */
void observe_start(struct server *s, struct grpc_call *c, struct slice name, observe_send *send,
                   struct observe **owner);
void observe_free(struct observe *o); /* the call is gone; NULL is fine */
void observe_writable(struct observe *o);

#endif
