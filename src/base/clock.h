/*
 * clock: time as a value handed in. Cores take `uint64_t now_ns`; shells own a struct clock, and a
 * test owns one it can turn.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_S  1000000000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_US 1000ULL

struct clock {
    uint64_t (*mono_ns)(void *ctx); /* never steps back; origin arbitrary */
    uint64_t (*wall_ns)(void *ctx); /* since 1970-01-01 UTC; may step */
    void *ctx;
};

/* The system's clocks. Static, usable from any thread. */
extern const struct clock clock_system;

static inline uint64_t clock_mono_ns(const struct clock *c)
{
    return c->mono_ns(c->ctx);
}
static inline uint64_t clock_wall_ns(const struct clock *c)
{
    return c->wall_ns(c->ctx);
}

/* A clock a test turns by hand. */
struct clock_manual {
    uint64_t mono_ns;
    uint64_t wall_ns;
};
struct clock clock_manual_use(struct clock_manual *m);

#endif
