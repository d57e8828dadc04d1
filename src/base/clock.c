#include "base/clock.h"
#include "base/util.h"

static uint64_t read_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t system_mono(void *ctx)
{
    return read_ns(CLOCK_MONOTONIC);
}

static uint64_t system_wall(void *ctx)
{
    return read_ns(CLOCK_REALTIME);
}

const struct clock clock_system = {system_mono, system_wall, NULL};

static uint64_t manual_mono(void *ctx)
{
    return ((struct clock_manual *)ctx)->mono_ns;
}

static uint64_t manual_wall(void *ctx)
{
    return ((struct clock_manual *)ctx)->wall_ns;
}

struct clock clock_manual_use(struct clock_manual *m)
{
    return (struct clock){manual_mono, manual_wall, m};
}
