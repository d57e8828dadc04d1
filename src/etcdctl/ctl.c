#include "etcdctl/ctl.h"

#include <stdarg.h>

int ctl_error(int code, const char *fmt, ...)
{
    va_list args;

    fflush(stdout);
    fputs("Error: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return code;
}

int ctl_bad_args(const struct err *e)
{
    return ctl_error(e->code == ERR_UNIMPLEMENTED ? CTL_BAD_FEATURE : CTL_BAD_ARGS, "%s", e->msg);
}

/* Endpoints as the client wants them: without --insecure-transport a bare one means https. */
static char *endpoint_text(const struct ctl_flags *f, const char *endpoint)
{
    if (f->insecure_transport || strstr(endpoint, "://"))
        return xstrdup(endpoint);
    return xasprintf("https://%s", endpoint);
}

static struct client *make_client(const struct ctl_flags *f, const char *const *endpoints,
                                  int *ret_exit)
{
    const struct client_conf conf = {
        .endpoints = endpoints,
        .dial_timeout_ns = f->dial_timeout_ns,
        .command_timeout_ns = f->command_timeout_ns,
        .keepalive_time_ns = f->keepalive_time_ns,
        .keepalive_timeout_ns = f->keepalive_timeout_ns,
        .cacert = f->cacert && *f->cacert ? f->cacert : NULL,
        .cert = f->cert && *f->cert ? f->cert : NULL,
        .key = f->key && *f->key ? f->key : NULL,
        .insecure_skip_tls_verify = f->insecure_skip_tls_verify,
        .receive_max = f->recv_max,
        .require_leader = true,
    };
    struct client *c;
    struct err e;

    if (client_new(&conf, &c, &e) < 0) {
        *ret_exit = ctl_error(CTL_BAD_ARGS, "%s", e.msg);
        return NULL;
    }
    return c;
}

struct client *ctl_client_for(const struct ctl *ctl, const char *endpoint, int *ret_exit)
{
    cleanup_free char *text = endpoint_text(ctl->flags, endpoint);
    const char *const endpoints[] = {text, NULL};

    return make_client(ctl->flags, endpoints, ret_exit);
}

struct client *ctl_client(struct ctl *ctl, int *ret_exit)
{
    char **given = ctl->flags->endpoints;
    size_t n = 0;

    if (ctl->client)
        return ctl->client;
    while (given && given[n])
        n++;
    char **texts = xcalloc(n + 1, sizeof *texts);
    for (size_t i = 0; i < n; i++)
        texts[i] = endpoint_text(ctl->flags, given[i]);
    ctl->client = make_client(ctl->flags, (const char *const *)texts, ret_exit);
    ctl_endpoints_free(texts);
    return ctl->client;
}

static const char *status_name(int status)
{
    static const char *const names[] = {
        "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
        "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
        "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
        "DataLoss", "Unauthenticated"};

    return status >= 0 && (size_t)status < ARRAY_LEN(names) ? names[status] : "Unknown";
}

void ctl_call_text(struct err *e, int code, int grpc_status)
{
    static const char *const own[] = {"etcdserver: ", "auth: ", "election: ", "mutex: "};

    if (grpc_status == CLIENT_NOT_CONNECTED && code == ERR_UNAVAILABLE) {
        /* The reason on a line of its own; the last line is the one scripts know. */
        fprintf(stderr, "warning: no connection: %s\n", e->msg);
        err_set(e, code, "%s", err_text(ERR_DEADLINE));
        return;
    }
    if (code == ERR_DEADLINE) {
        err_set(e, code, "%s", err_text(ERR_DEADLINE));
        return;
    }
    if (grpc_status <= 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strncmp(e->msg, own[i], strlen(own[i])) == 0)
            return;
    char text[ERR_MSG_MAX];
    snprintf(text, sizeof text, "%s", e->msg);
    err_set(e, code, "rpc error: code = %s desc = %s", status_name(grpc_status), text);
}

int ctl_call(struct ctl *ctl, const struct ctl_call *call, ProtobufCMessage **ret_response)
{
    int exit_code, status;
    struct client *c = ctl_client(ctl, &exit_code);
    struct err e = {0};

    if (!c)
        return exit_code;
    int r = client_call(c, call->path, call->request, call->response, call->idempotent,
                        ret_response, &status, &e);
    if (r == 0)
        return CTL_OK;
    ctl_call_text(&e, r, status);
    if (call->failed)
        return ctl_error(CTL_ERROR, "%s (%s)", call->failed, e.msg);
    return ctl_error(CTL_ERROR, "%s", e.msg);
}

int ctl_print(struct ctl *ctl, enum out_kind kind, const ProtobufCMessage *m,
              const struct out_arg *arg)
{
    struct err e;
    int r = out_message(&ctl->out, kind, m, arg, &e);

    if (r == ERR_UNIMPLEMENTED)
        return ctl_error(CTL_BAD_FEATURE, "%s", e.msg);
    return r < 0 ? ctl_error(CTL_IO, "%s", e.msg) : CTL_OK;
}

int ctl_call_print(struct ctl *ctl, const struct ctl_call *call, enum out_kind kind,
                   const struct out_arg *arg)
{
    cleanup_response ProtobufCMessage *response = NULL;
    int code = ctl_call(ctl, call, &response);

    return code == CTL_OK ? ctl_print(ctl, kind, response, arg) : code;
}

void ctl_endpoints_free(char **endpoints)
{
    for (char **at = endpoints; at && *at; at++)
        free(*at);
    free(endpoints);
}

static char **copy_endpoints(char **given)
{
    size_t n = 0;

    while (given && given[n])
        n++;
    char **copy = xcalloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(given[i]);
    return copy;
}

static char **member_endpoints(const Etcdserverpb__MemberListResponse *list)
{
    char **all = xcalloc(1, sizeof *all);
    size_t n = 0;

    for (size_t i = 0; i < list->n_members; i++)
        for (size_t k = 0; k < list->members[i]->n_clienturls; k++) {
            all = xrealloc(all, (n + 2) * sizeof *all);
            all[n++] = xstrdup(list->members[i]->clienturls[k]);
            all[n] = NULL;
        }
    return all;
}

char **ctl_endpoints(struct ctl *ctl, bool cluster, int *ret_exit)
{
    Etcdserverpb__MemberListRequest request = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Cluster/MemberList",
        .request = &request.base,
        .response = &etcdserverpb__member_list_response__descriptor,
        .idempotent = true,
        .failed = "failed to fetch endpoints from etcd cluster member list",
    };
    cleanup_response ProtobufCMessage *response = NULL;

    if (!cluster)
        return copy_endpoints(ctl->flags->endpoints);
    request.linearizable = true;
    *ret_exit = ctl_call(ctl, &call, &response);
    return *ret_exit == CTL_OK ? member_endpoints((const void *)response) : NULL;
}
