#include "etcd/api.h"

#include "health.pb-c.h"

/* The server as a whole, the one service whose health is known, has the empty name. */
static bool known(const ProtobufCMessage *msg)
{
    return !*((const Grpc__Health__V1__HealthCheckRequest *)(const void *)msg)->service;
}

static void check(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    Grpc__Health__V1__HealthCheckResponse out = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    if (!known(msg)) {
        grpc_call_finish(c, GRPC_NOT_FOUND, "unknown service");
        return;
    }
    out.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    grpc_call_reply(c, &out.base);
}

/* The status now; it does not change while we serve, and the call stays open. */
static void watch(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    Grpc__Health__V1__HealthCheckResponse out = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    out.status = known(msg)
                     ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                     : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    grpc_call_send(c, &out.base);
}

const struct grpc_method health_methods[] = {
    {
        .path = "/grpc.health.v1.Health/Check",
        .request = &grpc__health__v1__health_check_request__descriptor,
        .on_message = check,
    },
    {
        .path = "/grpc.health.v1.Health/Watch",
        .request = &grpc__health__v1__health_check_request__descriptor,
        .server_streaming = true,
        .on_message = watch,
    },
    {.path = NULL},
};
