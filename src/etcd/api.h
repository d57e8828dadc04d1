/*
 * api: the gRPC services of the store, each a method table for grpc_methods_add (path NULL ends
 * it). Their app is struct server. Handlers check what upstream checks before the log, propose, and
 * answer with the outcome.
 */
#ifndef ETCD_API_H
#define ETCD_API_H

#include "etcd/server.h"
#include "wire/grpc.h"

extern const struct grpc_method kv_methods[];
extern const struct grpc_method maintenance_methods[];
extern const struct grpc_method snapshot_methods[];
extern const struct grpc_method lease_methods[];
extern const struct grpc_method cluster_methods[];
extern const struct grpc_method lock_methods[];
extern const struct grpc_method election_methods[];
extern const struct grpc_method health_methods[];
extern const struct grpc_method auth_methods[];
/* watch_methods stands in watch_hub.h. */

/* --- a call that waits for its proposal --- */

/* The state (state_size) of unary calls that propose one write and answer with its response. */
struct api_proposal {
    struct proposal *pending;
};
/* Proposes and answers: the response as it comes, or the error. raw: the request as it arrived. */
void api_propose(struct grpc_call *c, Steadpb__RaftRequest__RequestCase what, struct slice raw);
/* The same for a message made here. */
void api_propose_msg(struct grpc_call *c, Steadpb__RaftRequest__RequestCase what,
                     const ProtobufCMessage *msg);
/* on_cancel of such methods: the write takes its course. */
void api_proposal_cancel(struct grpc_call *c);

/* --- errors --- */

/* Fails a call of the Lock or Election service. Upstream's are clients inside the server, and on
 * the way through them the status of an error is lost (2, Unknown) while its text stays. */
void api_fail_inside(struct grpc_call *c, int code);
/* Fails a read. Damage found in the store is logged with its place and answered with it. */
void api_fail_read(struct grpc_call *c, int code);

/* --- leases --- */

#define LEASE_ID_MAX INT64_MAX
/* A random positive id that no lease has. */
int64_t api_lease_pick_id(struct server *s);

#endif
