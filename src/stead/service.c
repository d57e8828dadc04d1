#include "stead/service.h"

void service_init(struct service *s, const char *name, uint64_t now_ms)
{
    *s = (struct service){.name = name,
                          .state = SERVICE_WAITING,
                          .due_ms = now_ms,
                          .backoff_ms = SERVICE_BACKOFF_MIN_MS};
}

bool service_is_due(const struct service *s, uint64_t now_ms)
{
    return s->state == SERVICE_WAITING && now_ms >= s->due_ms;
}

bool service_runs(const struct service *s)
{
    return s->state == SERVICE_STARTING || s->state == SERVICE_UP;
}

void service_on_started(struct service *s, pid_t pid)
{
    assert(s->state == SERVICE_WAITING && pid > 0);
    s->state = SERVICE_STARTING;
    s->pid = pid;
}

void service_on_listening(struct service *s, uint64_t now_ms)
{
    assert(s->state == SERVICE_STARTING);
    s->state = SERVICE_UP;
    s->up_ms = now_ms;
    s->tries = 0;
}

static void wait_for_next_try(struct service *s, uint64_t now_ms)
{
    s->state = SERVICE_WAITING;
    s->due_ms = now_ms + s->backoff_ms;
    s->backoff_ms = MIN(s->backoff_ms * 2, (uint64_t)SERVICE_BACKOFF_MAX_MS);
}

void service_on_ended(struct service *s, uint64_t now_ms)
{
    bool was_up = s->state == SERVICE_UP;

    assert(s->state != SERVICE_FAILED && s->state != SERVICE_STOPPED);
    s->pid = 0;
    if (s->stopping) {
        s->state = SERVICE_STOPPED;
        return;
    }
    if (was_up && now_ms - s->up_ms >= SERVICE_STABLE_MS)
        s->backoff_ms = SERVICE_BACKOFF_MIN_MS;
    if (!was_up && ++s->tries >= SERVICE_TRIES_MAX)
        s->state = SERVICE_FAILED;
    else
        wait_for_next_try(s, now_ms);
}

void service_stop(struct service *s)
{
    s->stopping = true;
    if (s->state == SERVICE_WAITING)
        s->state = SERVICE_STOPPED;
}

uint64_t service_wait_ms(const struct service *s, uint64_t now_ms)
{
    if (s->state != SERVICE_WAITING)
        return UINT64_MAX;
    return s->due_ms > now_ms ? s->due_ms - now_ms : 0;
}
