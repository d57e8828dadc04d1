/* The Auth service's one method a store without users can answer truthfully. */
#include "etcd/api.h"

static void auth_status(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__AuthStatusResponse resp = ETCDSERVERPB__AUTH_STATUS_RESPONSE__INIT;

    server_header(grpc_call_app(c), &header);
    resp.header = &header;
    resp.authrevision = 1; /* upstream counts from 1 */
    grpc_call_reply(c, &resp.base);
}

const struct grpc_method auth_methods[] = {
    {.path = "/etcdserverpb.Auth/AuthStatus",
     .request = &etcdserverpb__auth_status_request__descriptor,
     .on_message = auth_status},
    {0},
};
