/*
 * session: a lease kept alive while we wait, as upstream's concurrency package has it: the ground
 * under lock and elect. Everything attached to the lease goes when the session ends or we die.
 *
 * While a session is open SIGINT, SIGTERM and SIGCHLD are blocked and arrive through
 * session_wait.
 */
#ifndef ETCDCTL_SESSION_H
#define ETCDCTL_SESSION_H

#include "etcdctl/ctl.h"

struct session {
    struct client *c;
    int64_t lease;
    uint64_t ttl_ns;
    uint64_t next_ns, expires_ns; /* of the keep-alives */
    struct client_stream *keepalive;
    int signal_fd;
    bool interrupted; /* SIGINT or SIGTERM came */
    int signal;       /* which */
};

/* Grants the lease. 0, or negative with the words to print. session_close in either case. */
int session_open(struct session *s, struct client *c, int64_t ttl_s, struct err *e);
/* Revokes the lease, whatever state the session is in. */
void session_close(struct session *s);

enum session_event {
    SESSION_MESSAGE,     /* something is there to receive on stream */
    SESSION_INTERRUPTED, /* a signal; once */
    SESSION_CHILD,       /* a child has ended */
    SESSION_RECONNECTED, /* stream is lost: open it again */
    SESSION_EXPIRED,     /* the lease is gone, or was not renewed in time */
};
/* Keeps the lease alive until something happens. stream: whose messages are waited for, or NULL. */
enum session_event session_wait(struct session *s, struct client_stream *stream);

/* A call whose failure is told by the caller. 0 or negative with the words in e. */
int session_call(struct session *s, const char *path, const ProtobufCMessage *request,
                 const ProtobufCMessageDescriptor *type, bool idempotent, ProtobufCMessage **ret,
                 struct err *e);
/* Waits until no key below prefix is older than ours (created at own_rev). 0; ERR_CANCELED:
 * interrupted; ERR_SESSION_EXPIRED; other failures. */
int session_wait_first(struct session *s, const char *prefix, int64_t own_rev, struct err *e);
/* Opens a watch on one key (or its prefix) from a revision on. */
int session_watch(struct session *s, const char *key, bool prefix, int64_t rev,
                  struct client_stream **ret, struct err *e);

#endif
