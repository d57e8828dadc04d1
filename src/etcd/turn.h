/*
 * turn: waiting for one's turn in a queue of keys, which is what taking a lock and winning an
 * election have in common. The queue NAME holds a key NAME/LEASE for each session; the oldest one's
 * turn it is.
 *
 *   GRANT   a session lease is being made (request without one)
 *   ENTER   the key is being put
 *   UPDATE  the session stood in the queue with another value: it is being replaced
 *   WAIT    until no older key is left; the newest older one is watched
 *   LEAVE   the asker went away while entering: the key is taken back once it is there
 *
 *            +-------------------------------------------> done(error)
 *            |          |            |          |
 *   start -> GRANT -> ENTER -+----------> WAIT -+-> done(0)
 *      \____________^   |    +-> UPDATE -^
 *                       +-- cancel --> LEAVE
 */
#ifndef ETCD_TURN_H
#define ETCD_TURN_H

#include "etcd/server.h"

#define TURN_SESSION_TTL_S 60 /* of a session lease made here; nobody keeps it alive */

struct turn;
struct turn_result {
    struct slice key;
    int64_t lease;
    int64_t create_rev;
    bool waited;                          /* somebody was before us */
    Etcdserverpb__ResponseHeader entered; /* of the write that entered the queue */
};
struct turn_request {
    struct slice name;
    struct slice value; /* lives until done or turn_cancel */
    int64_t lease;      /* 0: make one */
    bool update;        /* replace another value the session stands there with */
    int lost;           /* the code for a key that vanished while waiting (its lease expired) */
    /* Called once, never before turn_start returned it through *ret; afterwards the turn is gone.
     * res is NULL when code < 0, else valid during the call. */
    void (*done)(void *ctx, int code, const struct turn_result *res);
    void *ctx;
};

/* *ret is cleared by nobody but done's owner. Negative: refused, done is not called. */
int turn_start(struct server *s, const struct turn_request *q, struct turn **ret);
/* The asker went away: leaves the queue, done is not called, the turn is gone. */
void turn_cancel(struct turn *t);

#endif
