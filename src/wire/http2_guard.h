/*
 * http2_guard: what a peer may do how often, as plain data; time is an argument.
 */
#ifndef WIRE_HTTP2_GUARD_H
#define WIRE_HTTP2_GUARD_H

#include "base/clock.h"
#include "base/util.h"

/* A rate with a burst, kept as the time at which the burst would be whole again (GCRA). Zeroed:
 * full burst. */
struct rate {
    uint64_t full_ns;
};
/* Takes one event. False when more than burst events came on top of per_s each second. */
static inline bool rate_take(struct rate *r, uint32_t per_s, uint32_t burst, uint64_t now_ns)
{
    uint64_t cost = NS_PER_S / per_s;

    if (r->full_ns < now_ns)
        r->full_ns = now_ns;
    if (r->full_ns - now_ns > (burst - 1) * cost)
        return false;
    r->full_ns += cost;
    return true;
}

/* The server's view of a client's keepalive pings. The rules are grpc-go's (keepalive
 * EnforcementPolicy without PermitWithoutStream), because its clients tune themselves by them. */
struct ping_police {
    uint64_t last_ns; /* of the last ping, 0: none yet */
    unsigned strikes;
    bool forgiven; /* we sent headers or data since: the next ping is free and strikes are gone */
};
#define PING_STRIKES_MAX 2
#define PING_IDLE_MIN_NS (2 * 3600 * NS_PER_S) /* without open streams */
/* Takes one ping; false when the connection has to end with "too_many_pings". */
static inline bool ping_allowed(struct ping_police *p, uint64_t min_ns, bool streams_open,
                                uint64_t now_ns)
{
    uint64_t last = p->last_ns;

    p->last_ns = now_ns;
    if (p->forgiven) {
        p->forgiven = false;
        p->strikes = 0;
        return true;
    }
    if (!last)
        return true;
    if (now_ns - last < (streams_open ? min_ns : PING_IDLE_MIN_NS))
        p->strikes++;
    return p->strikes <= PING_STRIKES_MAX;
}

/* Our own pings to a silent peer. */
struct keepalive {
    uint64_t interval_ns; /* 0: never */
    uint64_t timeout_ns;
    uint64_t heard_ns;  /* last byte received */
    uint64_t pinged_ns; /* when the unanswered ping was sent; 0: none */
};
enum keepalive_step { KEEPALIVE_WAIT, KEEPALIVE_PING, KEEPALIVE_DEAD };
static inline void keepalive_heard(struct keepalive *k, uint64_t now_ns)
{
    k->heard_ns = now_ns;
    k->pinged_ns = 0;
}
static inline uint64_t keepalive_wake_ns(const struct keepalive *k)
{
    if (!k->interval_ns)
        return UINT64_MAX;
    return k->pinged_ns ? k->pinged_ns + k->timeout_ns : k->heard_ns + k->interval_ns;
}
static inline enum keepalive_step keepalive_tick(struct keepalive *k, uint64_t now_ns)
{
    if (now_ns < keepalive_wake_ns(k))
        return KEEPALIVE_WAIT;
    if (k->pinged_ns)
        return KEEPALIVE_DEAD;
    k->pinged_ns = now_ns;
    return KEEPALIVE_PING;
}

#endif
