#include "etcdctl/ctl.h"

#include "base/clock.h"

struct endpoint_flags {
    struct ctl_flags g;
    bool cluster;
    int64_t rev;
};
#define CLUSTER_ROW                                                                                \
    OPT_BOOL("cluster", struct endpoint_flags, cluster,                                            \
             .help = "use all endpoints from the cluster member list")
static const struct opt endpoint_rows[] = {CLUSTER_ROW, OPT_END};
static const struct opt hashkv_rows[] = {
    CLUSTER_ROW,
    OPT_I64("rev", struct endpoint_flags, rev,
            .help = "maximum revision to hash (default: latest revision)"),
    OPT_END};

/* One call to one endpoint, on a connection of its own. 0, or negative with the words for it. */
static int call_one(struct ctl *ctl, const char *endpoint, const struct ctl_call *call,
                    ProtobufCMessage **ret, struct err *e)
{
    int exit_code, status = 0;
    cleanup_client struct client *c = ctl_client_for(ctl, endpoint, &exit_code);

    if (!c)
        return err_set(e, ERR_USAGE, "bad endpoint");
    int r = client_call(c, call->path, call->request, call->response, call->idempotent, ret,
                        &status, e);
    if (r < 0)
        ctl_call_text(e, r, status);
    return r;
}

struct answers {
    struct out_endpoint *rows;
    ProtobufCMessage **messages;
    size_t n;
};

static void answers_free(struct answers *a)
{
    for (size_t i = 0; i < a->n; i++)
        client_response_free(a->messages[i]);
    free(a->messages);
    free(a->rows);
}

static int print_list(struct ctl *ctl, enum out_list list, const struct out_endpoint *rows,
                      size_t n)
{
    struct err e;
    int r = out_endpoints(&ctl->out, list, rows, n, &e);

    if (r < 0)
        return ctl_error(r == ERR_UNIMPLEMENTED ? CTL_BAD_FEATURE : CTL_IO, "%s", e.msg);
    return CTL_OK;
}

/* Asks every endpoint; what fails is told and left out. what: "status", "hash". */
static int ask_all(struct ctl *ctl, char **endpoints, const struct ctl_call *call,
                   enum out_list list, const char *what, struct err *e)
{
    struct answers a = {0};
    size_t n = 0;
    int failed = 0;

    while (endpoints[n])
        n++;
    a.rows = xcalloc(n + 1, sizeof *a.rows);
    a.messages = xcalloc(n + 1, sizeof *a.messages);
    for (size_t i = 0; i < n; i++) {
        int r = call_one(ctl, endpoints[i], call, &a.messages[a.n], e);
        if (r == 0) {
            a.rows[a.n] =
                (struct out_endpoint){.endpoint = endpoints[i], .response = a.messages[a.n]};
            a.n++;
            continue;
        }
        failed++;
        fprintf(stderr, "Failed to get the %s of endpoint %s (%s)\n", what, endpoints[i], e->msg);
    }
    int code = print_list(ctl, list, a.rows, a.n);
    answers_free(&a);
    return code == CTL_OK && failed ? CTL_ERROR : code;
}

static int run_status(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct endpoint_flags *f = (const void *)flags;
    Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Maintenance/Status",
        .request = &request.base,
        .response = &etcdserverpb__status_response__descriptor,
        .idempotent = true,
    };
    struct err e = {0};
    int code;
    char **endpoints = ctl_endpoints(ctl, f->cluster, &code);

    if (!endpoints)
        return code;
    code = ask_all(ctl, endpoints, &call, OUT_STATUS, "status", &e);
    ctl_endpoints_free(endpoints);
    return code;
}

static int run_hashkv(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct endpoint_flags *f = (const void *)flags;
    Etcdserverpb__HashKVRequest request = ETCDSERVERPB__HASH_KVREQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Maintenance/HashKV",
        .request = &request.base,
        .response = &etcdserverpb__hash_kvresponse__descriptor,
        .idempotent = true,
    };
    struct err e = {0};
    int code;
    char **endpoints = ctl_endpoints(ctl, f->cluster, &code);

    if (!endpoints)
        return code;
    request.revision = f->rev;
    code = ask_all(ctl, endpoints, &call, OUT_HASHKV, "hash", &e);
    ctl_endpoints_free(endpoints);
    return code == CTL_ERROR ? ctl_error(CTL_ERROR, "%s", e.msg) : code;
}

/*
 * Health: a linearizable read goes through, and no alarm is raised.
 */

static int read_health_key(struct ctl *ctl, const char *endpoint, struct err *e)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.KV/Range",
        .request = &request.base,
        .response = &etcdserverpb__range_response__descriptor,
        .idempotent = true,
    };
    cleanup_response ProtobufCMessage *m = NULL;

    request.key = CTL_BYTES("health");
    return call_one(ctl, endpoint, &call, &m, e);
}

static int check_alarms(struct ctl *ctl, const char *endpoint, struct err *e)
{
    Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Maintenance/Alarm",
        .request = &request.base,
        .response = &etcdserverpb__alarm_response__descriptor,
        .idempotent = true,
    };
    cleanup_response ProtobufCMessage *m = NULL;
    char names[ERR_MSG_MAX / 2] = "";
    size_t n = 0;

    if (call_one(ctl, endpoint, &call, &m, e) < 0)
        return err_set(e, ERR_INTERNAL, "Unable to fetch the alarm list");
    const Etcdserverpb__AlarmResponse *alarms = (const void *)m;
    for (size_t i = 0; i < alarms->n_alarms && n < sizeof names; i++) {
        const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
            &etcdserverpb__alarm_type__descriptor, (int)alarms->alarms[i]->alarm);
        n += (size_t)snprintf(names + n, sizeof names - n, "%s ", v ? v->name : "?");
    }
    return alarms->n_alarms ? err_set(e, ERR_INTERNAL, "Active Alarm(s): %s", names) : 0;
}

static int run_health(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct endpoint_flags *f = (const void *)flags;
    int code = CTL_OK;
    size_t n = 0, sick = 0;
    char **endpoints = ctl_endpoints(ctl, f->cluster, &code);

    if (!endpoints)
        return code;
    while (endpoints[n])
        n++;
    cleanup_free struct out_endpoint *rows = xcalloc(n + 1, sizeof *rows);
    cleanup_free struct err *errors = xcalloc(n + 1, sizeof *errors);
    for (size_t i = 0; i < n; i++) {
        uint64_t start = clock_mono_ns(&clock_system);
        int r = read_health_key(ctl, endpoints[i], &errors[i]);
        uint64_t took_ns = clock_mono_ns(&clock_system) - start;
        if (r == 0)
            r = check_alarms(ctl, endpoints[i], &errors[i]);
        rows[i] = (struct out_endpoint){
            .endpoint = endpoints[i], .took_ns = took_ns, .error = errors[i].msg};
        sick += r < 0;
    }
    code = print_list(ctl, OUT_HEALTH, rows, n);
    ctl_endpoints_free(endpoints);
    return code == CTL_OK && sick ? ctl_error(CTL_ERROR, "unhealthy cluster") : code;
}

const struct command commands_endpoint[] = {
    {"endpoint health", "", "Checks the healthiness of endpoints specified in `--endpoints` flag",
     NULL, endpoint_rows, sizeof(struct endpoint_flags), run_health},
    {"endpoint status", "", "Prints out the status of endpoints specified in `--endpoints` flag",
     "With the simple format the items are endpoint, ID, version, storage version, db size, in "
     "use,\npercentage not in use, quota, is leader, is learner, raft term, raft index, raft "
     "applied index,\nerrors, downgrade target version, downgrade enabled.\n\n"
     "$ etcdctl endpoint status --cluster -w table\n",
     endpoint_rows, sizeof(struct endpoint_flags), run_status},
    {"endpoint hashkv", "", "Prints the KV history hash for each endpoint in --endpoints", NULL,
     hashkv_rows, sizeof(struct endpoint_flags), run_hashkv},
    {.name = NULL}};
