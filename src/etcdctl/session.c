#include "etcdctl/session.h"

#include "base/clock.h"
#include "etcdctl/kv_request.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#define KEY_ARENA_MAX (4u * 1024 * 1024) /* the end of a prefix */

static uint64_t now_ns(void)
{
    return clock_mono_ns(&clock_system);
}

int session_call(struct session *s, const char *path, const ProtobufCMessage *request,
                 const ProtobufCMessageDescriptor *type, bool idempotent, ProtobufCMessage **ret,
                 struct err *e)
{
    int status = 0;
    int r = client_call(s->c, path, request, type, idempotent, ret, &status, e);

    if (r < 0)
        ctl_call_text(e, r, status);
    return r;
}

static int catch_signals(struct session *s, struct err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signal_fd < 0 ? err_set(e, -errno, "signalfd") : 0;
}

int session_open(struct session *s, struct client *c, int64_t ttl_s, struct err *e)
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    cleanup_response ProtobufCMessage *m = NULL;

    *s = (struct session){.c = c, .signal_fd = -1};
    int r = catch_signals(s, e);
    if (r < 0)
        return r;
    request.ttl = ttl_s;
    r = session_call(s, "/etcdserverpb.Lease/LeaseGrant", &request.base,
                     &etcdserverpb__lease_grant_response__descriptor, false, &m, e);
    if (r < 0)
        return r;
    const Etcdserverpb__LeaseGrantResponse *granted = (const void *)m;
    s->lease = granted->id;
    s->ttl_ns = (uint64_t)MAX(granted->ttl, (int64_t)1) * NS_PER_S;
    s->next_ns = now_ns() + s->ttl_ns / 3;
    s->expires_ns = now_ns() + s->ttl_ns;
    return 0;
}

void session_close(struct session *s)
{
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    cleanup_response ProtobufCMessage *m = NULL;
    struct err e;

    client_stream_close(take_ptr(&s->keepalive));
    request.id = s->lease;
    /* When this fails the server ends the lease by itself a little later. */
    if (s->lease)
        client_call(s->c, "/etcdserverpb.Lease/LeaseRevoke", &request.base,
                    &etcdserverpb__lease_revoke_response__descriptor, false, &m, NULL, &e);
    if (s->signal_fd >= 0)
        close(take_fd(&s->signal_fd));
}

static int send_keepalive(struct session *s, struct err *e)
{
    Etcdserverpb__LeaseKeepAliveRequest request = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    int r = 0;

    request.id = s->lease;
    if (!s->keepalive)
        r = client_stream_open(s->c, "/etcdserverpb.Lease/LeaseKeepAlive",
                               &etcdserverpb__lease_keep_alive_response__descriptor, &s->keepalive,
                               e);
    if (r == 0)
        r = client_stream_send(s->keepalive, &request.base, e);
    s->next_ns = now_ns() + s->ttl_ns / 3;
    return r;
}

/* Answers to keep-alives that are there. 0; -ENOENT: the lease is gone; other negatives: the
 * connection is. */
static int take_keepalives(struct session *s)
{
    struct err e;

    for (;;) {
        cleanup_response ProtobufCMessage *m = NULL;
        int r = client_stream_recv(s->keepalive, 0, -1, &m, &e);
        if (r == ERR_DEADLINE)
            return 0;
        if (r != 0)
            return ERR_UNAVAILABLE;
        const Etcdserverpb__LeaseKeepAliveResponse *answer = (const void *)m;
        if (answer->ttl <= 0)
            return -ENOENT;
        s->expires_ns = now_ns() + (uint64_t)answer->ttl * NS_PER_S;
    }
}

static enum session_event take_signal(struct session *s)
{
    struct signalfd_siginfo info;
    ssize_t n = read(s->signal_fd, &info, sizeof info);

    if (n == sizeof info && info.ssi_signo != SIGCHLD) {
        s->interrupted = true;
        s->signal = (int)info.ssi_signo;
        return SESSION_INTERRUPTED;
    }
    return SESSION_CHILD;
}

/* The connection is lost: a new one, before the lease ends. */
static enum session_event reconnect(struct session *s)
{
    struct err e;

    client_stream_close(take_ptr(&s->keepalive));
    while (now_ns() < s->expires_ns) {
        if (send_keepalive(s, &e) == 0)
            return SESSION_RECONNECTED;
        client_stream_close(take_ptr(&s->keepalive));
    }
    return SESSION_EXPIRED;
}

enum session_event session_wait(struct session *s, struct client_stream *stream)
{
    struct err e;

    for (;;) {
        uint64_t now = now_ns();
        if (now >= s->expires_ns)
            return SESSION_EXPIRED;
        if (now >= s->next_ns && send_keepalive(s, &e) < 0)
            return reconnect(s);
        uint64_t until = MIN(s->next_ns, s->expires_ns);
        int r = client_wait(s->c, until > now ? until - now : 0, s->signal_fd, &e);
        if (r == -EINTR)
            return take_signal(s);
        if (r < 0 && r != ERR_DEADLINE)
            return reconnect(s);
        for (struct client_stream *ready; (ready = client_ready_stream(s->c));) {
            if (ready == stream)
                return SESSION_MESSAGE;
            r = ready == s->keepalive ? take_keepalives(s) : 0;
            if (r < 0)
                return r == -ENOENT ? SESSION_EXPIRED : reconnect(s);
        }
    }
}

int session_watch(struct session *s, const char *key, bool prefix, int64_t rev,
                  struct client_stream **ret, struct err *e)
{
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    struct arena arena;

    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    create.key = CTL_BYTES(key);
    create.start_revision = rev;
    arena_init(&arena, KEY_ARENA_MAX);
    if (prefix)
        create.range_end = kv_prefix_end(&arena, slice_str(key));
    int r = client_stream_open(s->c, "/etcdserverpb.Watch/Watch",
                               &etcdserverpb__watch_response__descriptor, ret, e);
    if (r == 0)
        r = client_stream_send(*ret, &request.base, e);
    arena_deinit(&arena);
    return r;
}

/* The youngest key below prefix that is older than own_rev: its name (owned) or NULL, and the
 * revision of the answer. */
static int predecessor(struct session *s, const char *prefix, int64_t own_rev, char **ret_key,
                       int64_t *ret_rev, struct err *e)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    cleanup_response ProtobufCMessage *m = NULL;
    struct arena arena;

    arena_init(&arena, KEY_ARENA_MAX);
    request.key = CTL_BYTES(prefix);
    request.range_end = kv_prefix_end(&arena, slice_str(prefix));
    request.limit = 1;
    request.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    request.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    request.max_create_revision = own_rev - 1;
    int r = session_call(s, "/etcdserverpb.KV/Range", &request.base,
                         &etcdserverpb__range_response__descriptor, true, &m, e);
    arena_deinit(&arena);
    *ret_key = NULL;
    if (r < 0)
        return r;
    const Etcdserverpb__RangeResponse *answer = (const void *)m;
    *ret_rev = answer->header ? answer->header->revision : 0;
    if (answer->n_kvs > 0)
        *ret_key =
            xasprintf("%.*s", (int)answer->kvs[0]->key.len, (const char *)answer->kvs[0]->key.data);
    return 0;
}

/* 1: the key was deleted; 0: not yet; negative: the watch has ended. */
static int saw_delete(struct client_stream *watch, struct err *e)
{
    for (;;) {
        cleanup_response ProtobufCMessage *m = NULL;
        int r = client_stream_recv(watch, 0, -1, &m, e);
        if (r == ERR_DEADLINE)
            return 0;
        if (r != 0)
            return r == 1 ? err_set(e, ERR_UNAVAILABLE, "watch ended") : r;
        const Etcdserverpb__WatchResponse *answer = (const void *)m;
        for (size_t i = 0; i < answer->n_events; i++)
            if (answer->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE)
                return 1;
        if (answer->canceled)
            return err_set(e, ERR_COMPACTED, "%s", err_text(ERR_COMPACTED));
    }
}

/* Until the key is deleted. 0: it may be, look again. */
static int wait_deleted(struct session *s, const char *key, int64_t rev, struct err *e)
{
    struct client_stream *watch = NULL;
    int r = session_watch(s, key, false, rev, &watch, e);

    while (r == 0) {
        enum session_event event = session_wait(s, watch);
        if (event == SESSION_MESSAGE)
            r = saw_delete(watch, e);
        else if (event == SESSION_INTERRUPTED)
            r = err_set(e, ERR_CANCELED, "%s", err_text(ERR_CANCELED));
        else if (event == SESSION_EXPIRED)
            r = err_set(e, ERR_SESSION_EXPIRED, "%s", err_text(ERR_SESSION_EXPIRED));
        else if (event == SESSION_RECONNECTED)
            r = 1;
    }
    client_stream_close(watch);
    /* A lost or compacted watch is no reason to give up: the key is looked up again. */
    return r == ERR_CANCELED || r == ERR_SESSION_EXPIRED ? r : 0;
}

int session_wait_first(struct session *s, const char *prefix, int64_t own_rev, struct err *e)
{
    for (;;) {
        cleanup_free char *key = NULL;
        int64_t rev = 0;
        int r = predecessor(s, prefix, own_rev, &key, &rev, e);
        if (r < 0 || !key)
            return r;
        r = wait_deleted(s, key, rev, e);
        if (r < 0)
            return r;
    }
}
