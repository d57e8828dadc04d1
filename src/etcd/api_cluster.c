#include "etcd/api.h"

static size_t count_urls(char **urls)
{
    size_t n = 0;

    while (urls && urls[n])
        n++;
    return n;
}

static void member_list(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__MemberListRequest *q = (const void *)msg;
    struct server *s = grpc_call_app(c);
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__Member member, *members[] = {&member};
    Etcdserverpb__MemberListResponse out = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    struct server_member self;

    int r = server_read_check(s, !q->linearizable);
    if (r < 0) {
        grpc_call_fail(c, r);
        return;
    }
    server_member_self(s, &self);
    etcdserverpb__member__init(&member);
    member.id = server_member_id(s);
    member.name = self.name;
    member.peerurls = self.peer_urls;
    member.n_peerurls = count_urls(self.peer_urls);
    member.clienturls = self.client_urls;
    member.n_clienturls = count_urls(self.client_urls);
    server_header(s, &header);
    header.revision = 0; /* Cluster answers carry no revision, as upstream */
    out.header = &header;
    out.n_members = 1;
    out.members = members;
    grpc_call_reply(c, &out.base);
}

static void refuse_change(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    grpc_call_finish(c, GRPC_UNIMPLEMENTED,
                     "etcdserver: this cluster has one member; membership cannot be changed");
}

/* The requests' fields do not matter: they are read as a message without fields, which takes any.
 */
#define REFUSED_METHOD(name)                                                                       \
    {                                                                                              \
        .path = "/etcdserverpb.Cluster/" name,                                                     \
        .request = &etcdserverpb__lease_leases_request__descriptor, .on_message = refuse_change,   \
    }

const struct grpc_method cluster_methods[] = {
    {
        .path = "/etcdserverpb.Cluster/MemberList",
        .request = &etcdserverpb__member_list_request__descriptor,
        .on_message = member_list,
    },
    REFUSED_METHOD("MemberAdd"),
    REFUSED_METHOD("MemberRemove"),
    REFUSED_METHOD("MemberUpdate"),
    REFUSED_METHOD("MemberPromote"),
    {.path = NULL},
};
