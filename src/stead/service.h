/*
 * service: when a supervised program is started, started again, and given up. Pure: time comes in,
 * nothing is started here.
 *
 *            due                listening
 *   WAITING ------> STARTING ------------> UP
 *      ^               | ended              | ended
 *      +---------------+--------------------+
 *      |               | SERVICE_TRIES_MAX times in a row without ever listening
 *      |               v
 *      |            FAILED
 *
 * A stop asked for turns WAITING into STOPPED, and STARTING and UP once the process is gone. FAILED
 * stays.
 *
 * The pause before a restart doubles from SERVICE_BACKOFF_MIN_MS to _MAX_MS, and begins anew once
 * the service has been up for SERVICE_STABLE_MS.
 */
#ifndef STEAD_SERVICE_H
#define STEAD_SERVICE_H

#include <sys/types.h>

#include "base/util.h"

#define SERVICE_BACKOFF_MIN_MS 100
#define SERVICE_BACKOFF_MAX_MS 10000
#define SERVICE_STABLE_MS      10000
#define SERVICE_TRIES_MAX      5 /* it cannot work: a port taken, a wrong flag, damaged data */

enum service_state {
    SERVICE_WAITING,
    SERVICE_STARTING,
    SERVICE_UP,
    SERVICE_FAILED,
    SERVICE_STOPPED,
};

struct service {
    const char *name;
    enum service_state state;
    pid_t pid; /* while STARTING or UP, else 0 */
    bool stopping;
    uint64_t due_ms;     /* WAITING: when to start */
    uint64_t up_ms;      /* UP: since when */
    uint64_t backoff_ms; /* the next pause */
    unsigned tries;      /* starts in a row that never listened */
};

/* Waits to be started at now_ms. name is borrowed. */
void service_init(struct service *s, const char *name, uint64_t now_ms);
bool service_is_due(const struct service *s, uint64_t now_ms);
bool service_runs(const struct service *s);
/* The process was made. */
void service_on_started(struct service *s, pid_t pid);
/* It accepts connections. */
void service_on_listening(struct service *s, uint64_t now_ms);
/* It is gone, or could not be made. */
void service_on_ended(struct service *s, uint64_t now_ms);
/* No more starts; STOPPED at once when nothing runs. */
void service_stop(struct service *s);
/* Milliseconds until it is due; UINT64_MAX when only an event can change its state. */
uint64_t service_wait_ms(const struct service *s, uint64_t now_ms);

#endif
