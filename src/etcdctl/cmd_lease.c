#include "etcdctl/ctl.h"

#include "base/clock.h"
#include "etcdctl/gotext.h"

#include <poll.h>

struct lease_flags {
    struct ctl_flags g;
    bool keys, once;
};
static const struct opt timetolive_rows[] = {
    OPT_BOOL("keys", struct lease_flags, keys, .help = "Get keys attached to this lease"), OPT_END};
static const struct opt keepalive_rows[] = {
    OPT_BOOL("once", struct lease_flags, once,
             .help = "Resets the keep-alive time to its original value and exits immediately"),
    OPT_END};

static int one_id(int argc, char **argv, const char *missing, int64_t *ret_id)
{
    struct err e;

    if (argc != 1)
        return ctl_error(CTL_BAD_ARGS, "%s", missing);
    if (go_parse_int(argv[0], 16, ret_id, &e) < 0)
        return ctl_error(CTL_BAD_ARGS, "bad lease ID arg (%s), expecting ID in Hex", e.msg);
    return CTL_OK;
}

static int run_grant(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Lease/LeaseGrant",
        .request = &request.base,
        .response = &etcdserverpb__lease_grant_response__descriptor,
        .failed = "failed to grant lease",
    };
    struct err e;

    if (argc < 1 || argc > 2)
        return ctl_error(CTL_BAD_ARGS, "lease grant command needs TTL argument");
    if (go_parse_int(argv[0], 10, &request.ttl, &e) < 0)
        return ctl_error(CTL_BAD_ARGS, "bad TTL (%s)", e.msg);
    if (argc > 1 && go_parse_int(argv[1], 16, &request.id, &e) < 0)
        return ctl_error(CTL_BAD_ARGS, "bad lease ID arg (%s), expecting ID in Hex", e.msg);
    return ctl_call_print(ctl, &call, OUT_GRANT, NULL);
}

static int run_revoke(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Lease/LeaseRevoke",
        .request = &request.base,
        .response = &etcdserverpb__lease_revoke_response__descriptor,
        .failed = "failed to revoke lease",
    };
    int code = one_id(argc, argv, "lease revoke command needs 1 argument", &request.id);

    if (code != CTL_OK)
        return code;
    return ctl_call_print(ctl, &call, OUT_REVOKE, &(struct out_arg){.id = (uint64_t)request.id});
}

static int run_timetolive(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct lease_flags *f = (const void *)flags;
    Etcdserverpb__LeaseTimeToLiveRequest request = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Lease/LeaseTimeToLive",
        .request = &request.base,
        .response = &etcdserverpb__lease_time_to_live_response__descriptor,
        .idempotent = true,
    };
    int code =
        one_id(argc, argv, "lease timetolive command needs lease ID as argument", &request.id);

    if (code != CTL_OK)
        return code;
    request.keys = f->keys;
    return ctl_call_print(ctl, &call, OUT_TIMETOLIVE, &(struct out_arg){.flag = f->keys});
}

static int run_list(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    Etcdserverpb__LeaseLeasesRequest request = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Lease/LeaseLeases",
        .request = &request.base,
        .response = &etcdserverpb__lease_leases_response__descriptor,
        .idempotent = true,
    };

    return ctl_call_print(ctl, &call, OUT_LEASES, NULL);
}

/* One request on the stream (opened if it is not) and its answer. */
static int keep_alive(struct client *c, struct client_stream **stream, int64_t id,
                      uint64_t timeout_ns, ProtobufCMessage **ret, struct err *e)
{
    Etcdserverpb__LeaseKeepAliveRequest request = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    int r = 0;

    request.id = id;
    if (!*stream)
        r = client_stream_open(c, "/etcdserverpb.Lease/LeaseKeepAlive",
                               &etcdserverpb__lease_keep_alive_response__descriptor, stream, e);
    if (r == 0)
        r = client_stream_send(*stream, &request.base, e);
    if (r == 0)
        r = client_stream_recv(*stream, timeout_ns, -1, ret, e);
    if (r == 0)
        return 0;
    client_stream_close(*stream);
    *stream = NULL;
    return r == 1 ? err_set(e, ERR_UNAVAILABLE, "the server ended the stream") : r;
}

static int expired(int64_t id)
{
    printf("lease %016" PRIx64 " expired or revoked.\n", (uint64_t)id);
    return CTL_OK;
}

static int keep_alive_once(struct ctl *ctl, struct client *c, int64_t id)
{
    struct client_stream *stream = NULL;
    cleanup_response ProtobufCMessage *m = NULL;
    struct err e = {0};
    uint64_t timeout_ns = ctl->flags->command_timeout_ns;
    int r = keep_alive(c, &stream, id, timeout_ns ? timeout_ns : UINT64_MAX, &m, &e);

    client_stream_close(stream);
    if (r < 0)
        return ctl_error(CTL_BAD_CONNECTION, "%s", e.msg);
    if (((const Etcdserverpb__LeaseKeepAliveResponse *)(const void *)m)->ttl <= 0)
        return ctl_error(CTL_BAD_CONNECTION, "%s", err_text(ERR_LEASE_NOT_FOUND));
    return ctl_print(ctl, OUT_KEEPALIVE, m, NULL);
}

/* Renews every third of the TTL, through lost connections, until the lease is gone. */
static int keep_alive_forever(struct ctl *ctl, struct client *c, int64_t id)
{
    struct client_stream *stream = NULL;
    uint64_t ends_ns = UINT64_MAX;
    int code = CTL_OK;

    while (code == CTL_OK) {
        cleanup_response ProtobufCMessage *m = NULL;
        struct err e = {0};
        uint64_t now = clock_mono_ns(&clock_system), ttl_ns = 0;
        if (now >= ends_ns)
            break;
        int r =
            keep_alive(c, &stream, id, ends_ns == UINT64_MAX ? UINT64_MAX : ends_ns - now, &m, &e);
        if (r < 0 && ends_ns == UINT64_MAX)
            return ctl_error(CTL_BAD_CONNECTION, "%s", e.msg);
        if (r == 0) {
            int64_t ttl = ((const Etcdserverpb__LeaseKeepAliveResponse *)(const void *)m)->ttl;
            if (ttl <= 0)
                break;
            ttl_ns = (uint64_t)ttl * NS_PER_S;
            ends_ns = clock_mono_ns(&clock_system) + ttl_ns;
            code = ctl_print(ctl, OUT_KEEPALIVE, m, NULL);
        }
        /* A third of it, or soon again after a failure. */
        uint64_t wait_ms = r == 0 ? ttl_ns / 3 / NS_PER_MS : 200;
        poll(NULL, 0, (int)MIN(wait_ms, (uint64_t)INT32_MAX));
    }
    client_stream_close(stream);
    return code == CTL_OK ? expired(id) : code;
}

static int run_keepalive(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct lease_flags *f = (const void *)flags;
    int64_t id;
    int code = one_id(argc, argv, "lease keep-alive command needs lease ID as argument", &id);
    struct client *c = code == CTL_OK ? ctl_client(ctl, &code) : NULL;

    if (!c)
        return code;
    return f->once ? keep_alive_once(ctl, c, id) : keep_alive_forever(ctl, c, id);
}

const struct command commands_lease[] = {
    {"lease grant", "<ttl> [id]", "Creates leases",
     "$ etcdctl lease grant 60\nlease 32695410dcc0ca06 granted with TTL(60s)\n\n"
     "The id (in hexadecimal) is the server's choice unless it is given.\n",
     NULL, 0, run_grant},
    {"lease revoke", "<leaseID>", "Revokes leases", "The keys attached to the lease are deleted.\n",
     NULL, 0, run_revoke},
    {"lease timetolive", "<leaseID>", "Get lease information", NULL, timetolive_rows,
     sizeof(struct lease_flags), run_timetolive},
    {"lease list", "", "List all active leases", NULL, NULL, 0, run_list},
    {"lease keep-alive", "<leaseID>", "Keeps leases alive (renew)", NULL, keepalive_rows,
     sizeof(struct lease_flags), run_keepalive},
    {.name = NULL}};
