#include "etcdctl/child.h"
#include "etcdctl/gotext.h"
#include "etcdctl/kv_request.h"
#include "etcdctl/session.h"

#include <signal.h>

#define ELECT_TTL_S 60 /* upstream's session without options */

struct lock_flags {
    struct ctl_flags g;
    int64_t ttl;
    bool listen;
};
static const struct opt lock_rows[] = {OPT_I64("ttl", struct lock_flags, ttl, .def = "10", .min = 1,
                                               .max = INT32_MAX, .unit = "seconds",
                                               .help = "timeout for session"),
                                       OPT_END};
static const struct opt elect_rows[] = {
    OPT_BOOL("listen", struct lock_flags, listen, .letter = 'l', .help = "observation mode"),
    OPT_END};

/* Our place in the queue: a key below NAME/ that carries the lease's id. */
struct place {
    struct session *s;
    char *prefix, *key;
    int64_t rev; /* that the key was created at */
};

static void place_deinit(struct place *p)
{
    free(p->prefix);
    free(p->key);
}

/* Puts our key, unless it is there (of an earlier try). */
static int place_take(struct place *p, struct session *s, const char *name, const char *value,
                      struct err *e)
{
    Etcdserverpb__Compare absent = ETCDSERVERPB__COMPARE__INIT, *compares[] = {&absent};
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest get = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp then = ETCDSERVERPB__REQUEST_OP__INIT, *thens[] = {&then};
    Etcdserverpb__RequestOp otherwise = ETCDSERVERPB__REQUEST_OP__INIT, *others[] = {&otherwise};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    cleanup_response ProtobufCMessage *m = NULL;

    *p = (struct place){.s = s,
                        .prefix = xasprintf("%s/", name),
                        .key = xasprintf("%s/%" PRIx64, name, (uint64_t)s->lease)};
    absent.key = put.key = get.key = CTL_BYTES(p->key);
    absent.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    absent.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    put.value = CTL_BYTES(value);
    put.lease = s->lease;
    then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    then.request_put = &put;
    otherwise.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    otherwise.request_range = &get;
    txn.n_compare = txn.n_success = txn.n_failure = 1;
    txn.compare = compares;
    txn.success = thens;
    txn.failure = others;
    int r = session_call(s, "/etcdserverpb.KV/Txn", &txn.base,
                         &etcdserverpb__txn_response__descriptor, false, &m, e);
    if (r < 0)
        return r;
    const Etcdserverpb__TxnResponse *answer = (const void *)m;
    p->rev = answer->header ? answer->header->revision : 0;
    if (!answer->succeeded && answer->n_responses == 1 &&
        answer->responses[0]->response_case == ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE &&
        answer->responses[0]->response_range->n_kvs == 1)
        p->rev = answer->responses[0]->response_range->kvs[0]->create_revision;
    return 0;
}

/* Our key as it stands; an answer without it means that the lease has gone. */
static int place_get(const struct place *p, ProtobufCMessage **ret, struct err *e)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;

    request.key = CTL_BYTES(p->key);
    int r = session_call(p->s, "/etcdserverpb.KV/Range", &request.base,
                         &etcdserverpb__range_response__descriptor, true, ret, e);
    if (r == 0 && ((const Etcdserverpb__RangeResponse *)(const void *)*ret)->n_kvs == 0)
        return err_set(e, ERR_SESSION_EXPIRED, "%s", err_text(ERR_SESSION_EXPIRED));
    return r;
}

/* Takes a place, waits for its turn, and gives the key as it stands then. */
static int place_win(struct place *p, struct session *s, const char *name, const char *value,
                     ProtobufCMessage **ret, struct err *e)
{
    int r = place_take(p, s, name, value, e);

    if (r == 0)
        r = session_wait_first(s, p->prefix, p->rev, e);
    return r < 0 ? r : place_get(p, ret, e);
}

/* Holds on until a signal or the end of the lease. */
static int hold(struct session *s, const char *lost)
{
    for (;;) {
        enum session_event event = session_wait(s, NULL);
        if (event == SESSION_INTERRUPTED)
            return CTL_OK;
        if (event == SESSION_EXPIRED)
            return ctl_error(CTL_ERROR, "%s", lost);
    }
}

/* Runs the command while the lease is kept alive; its exit code is ours. */
static int run_locked(struct session *s, const struct place *p, int64_t rev, char **argv)
{
    cleanup_free char *key = xasprintf("ETCD_LOCK_KEY=%s", p->key);
    cleanup_free char *revision = xasprintf("ETCD_LOCK_REV=%" PRId64, rev);
    const char *const extra[] = {key, revision, NULL};
    bool warned = false;
    struct err e;
    pid_t pid;

    fflush(stdout);
    if (child_start(argv, extra, &pid, &e) < 0)
        return ctl_error(CTL_ERROR, "%s", e.msg);
    for (;;) {
        enum session_event event = warned ? SESSION_CHILD : session_wait(s, NULL);
        if (event == SESSION_CHILD)
            break; /* child_wait waits for it if it only stopped, or if the lock is lost anyway */
        /* The terminal has told the child about Ctrl-C; a kill of ours it would not hear of. */
        if (event == SESSION_INTERRUPTED && s->signal == SIGTERM)
            kill(pid, SIGTERM);
        if (event == SESSION_EXPIRED) {
            fputs("warning: the lock's lease expired while the command runs\n", stderr);
            warned = true;
        }
    }
    int code = child_wait(pid);
    return code == 0 ? CTL_OK : ctl_error(code, "exit status %d", code);
}

static int run_lock(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct lock_flags *f = (const void *)flags;
    cleanup_response ProtobufCMessage *held = NULL;
    struct session session;
    struct place place = {0};
    struct err e = {0};
    int code = CTL_OK;

    if (argc < 1)
        return ctl_error(CTL_BAD_ARGS,
                         "lock takes a lock name argument and an optional command to execute");
    struct client *c = ctl_client(ctl, &code);
    if (!c)
        return code;
    int r = session_open(&session, c, f->ttl, &e);
    if (r == 0)
        r = place_win(&place, &session, argv[0], "", &held, &e);
    if (r < 0) {
        code = ctl_error(CTL_ERROR, "%s", e.msg);
    } else if (argc > 1) {
        const Etcdserverpb__RangeResponse *answer = (const void *)held;
        code =
            run_locked(&session, &place, answer->header ? answer->header->revision : 0, argv + 1);
    } else {
        code = ctl_print(ctl, OUT_GET, held, NULL);
        if (code == CTL_OK)
            code = hold(&session, "session expired");
    }
    session_close(&session);
    place_deinit(&place);
    return code;
}

static int campaign(struct ctl *ctl, struct session *s, const char *name, const char *proposal)
{
    cleanup_response ProtobufCMessage *held = NULL;
    struct place place = {0};
    struct err e = {0};
    int code = CTL_OK;

    if (place_win(&place, s, name, proposal, &held, &e) < 0)
        code = ctl_error(CTL_ERROR, "%s", e.msg);
    if (code == CTL_OK)
        code = ctl_print(ctl, OUT_GET, held, NULL);
    if (code == CTL_OK)
        code = hold(s, "elect: session expired");
    place_deinit(&place);
    return code;
}

/*
 * elect -l: the leader of the moment (the oldest key), each of its changes, then the next one.
 */

static int leader_of(struct session *s, const char *prefix, ProtobufCMessage **ret, struct err *e)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct arena arena;

    arena_init(&arena, 1024u * 1024);
    request.key = CTL_BYTES(prefix);
    request.range_end = kv_prefix_end(&arena, slice_str(prefix));
    request.limit = 1;
    request.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    request.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    int r = session_call(s, "/etcdserverpb.KV/Range", &request.base,
                         &etcdserverpb__range_response__descriptor, true, ret, e);
    arena_deinit(&arena);
    return r;
}

/* Prints the new values of one answer of the watch. 1: the leader may be another now. */
static int print_changes(struct ctl *ctl, const Etcdserverpb__WatchResponse *w, bool prefix,
                         int *ret_code)
{
    for (size_t i = 0; i < w->n_events && *ret_code == CTL_OK; i++) {
        Etcdserverpb__RangeResponse answer = ETCDSERVERPB__RANGE_RESPONSE__INIT;
        Mvccpb__KeyValue *kvs[] = {w->events[i]->kv};
        /* Below the prefix any change may bring a leader: it is looked up. */
        if (prefix || w->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE)
            return 1;
        answer.header = w->header;
        answer.n_kvs = 1;
        answer.kvs = kvs;
        *ret_code = ctl_print(ctl, OUT_GET, &answer.base, NULL);
    }
    return w->canceled;
}

/* Follows one key (or, while there is none, the prefix) until there may be another leader. */
static enum session_event follow(struct ctl *ctl, struct session *s, const char *key, bool prefix,
                                 int64_t rev, int *ret_code)
{
    struct client_stream *watch = NULL;
    enum session_event event = SESSION_RECONNECTED;
    struct err e;
    int r = session_watch(s, key, prefix, rev, &watch, &e);

    while (r == 0 && *ret_code == CTL_OK) {
        cleanup_response ProtobufCMessage *m = NULL;
        event = session_wait(s, watch);
        if (event == SESSION_CHILD)
            continue;
        if (event != SESSION_MESSAGE)
            break;
        r = client_stream_recv(watch, 0, -1, &m, &e);
        if (r == 0)
            r = print_changes(ctl, (const void *)m, prefix, ret_code);
        else if (r == ERR_DEADLINE)
            r = 0;
    }
    client_stream_close(watch);
    return event;
}

static int observe(struct ctl *ctl, struct session *s, const char *name)
{
    cleanup_free char *prefix = xasprintf("%s/", name);
    int code = CTL_OK;

    while (code == CTL_OK) {
        cleanup_response ProtobufCMessage *m = NULL;
        struct err e = {0};
        if (leader_of(s, prefix, &m, &e) < 0)
            return ctl_error(CTL_ERROR, "elect: observer lost (%s)", e.msg);
        const Etcdserverpb__RangeResponse *answer = (const void *)m;
        bool any = answer->n_kvs > 0;
        cleanup_free char *key = any ? xasprintf("%.*s", (int)answer->kvs[0]->key.len,
                                                 (const char *)answer->kvs[0]->key.data)
                                     : xstrdup(prefix);
        if (any)
            code = ctl_print(ctl, OUT_GET, m, NULL);
        int64_t rev = answer->header ? answer->header->revision + 1 : 0;
        enum session_event event = follow(ctl, s, key, !any, rev, &code);
        if (event == SESSION_INTERRUPTED)
            return CTL_OK;
        if (event == SESSION_EXPIRED)
            return ctl_error(CTL_ERROR, "elect: observer lost");
    }
    return code;
}

static int run_elect(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct lock_flags *f = (const void *)flags;
    struct session session;
    struct err e = {0};
    int code = CTL_OK;

    if (argc != 1 && argc != 2)
        return ctl_error(
            CTL_BAD_ARGS,
            "elect takes one election name argument and an optional proposal argument");
    if (argc == 1 && !f->listen)
        return ctl_error(CTL_BAD_ARGS, "no proposal argument but -l not set");
    if (argc == 2 && f->listen)
        return ctl_error(CTL_BAD_ARGS, "proposal given but -l is set");
    struct client *c = ctl_client(ctl, &code);
    if (!c)
        return code;
    if (session_open(&session, c, ELECT_TTL_S, &e) < 0)
        code = ctl_error(CTL_ERROR, "%s", e.msg);
    else if (f->listen)
        code = observe(ctl, &session, argv[0]);
    else
        code = campaign(ctl, &session, argv[0], argv[1]);
    session_close(&session);
    return code;
}

const struct command commands_lock[] = {
    {"lock", "<lockname> [--] [exec-command arg1 arg2 ...]", "Acquires a named lock",
     "Without a command the lock is held until the program is interrupted. The command gets\n"
     "ETCD_LOCK_KEY and ETCD_LOCK_REV; its exit code becomes that of etcdctl.\n\n"
     "$ etcdctl lock backup -- ./backup.sh\n",
     lock_rows, sizeof(struct lock_flags), run_lock},
    {"elect", "<election-name> [proposal]", "Observes and participates in leader election",
     "$ etcdctl elect primary $(hostname)    # waits to be elected, leads until interrupted\n"
     "$ etcdctl elect -l primary             # prints each leader\n",
     elect_rows, sizeof(struct lock_flags), run_elect},
    {.name = NULL}};
