#include "base/rng.h"
#include "base/util.h"

#include <sys/random.h>

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
}

void rng_seed_os(struct rng *r)
{
    ssize_t n;

    /* All 256 bits, so that two processes never share a life. Waits for the kernel's pool early in
     * boot, where a signal can interrupt it. */
    do
        n = getrandom(r->s, sizeof r->s, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof r->s)
        abort(); /* cannot fail for 32 bytes on any kernel we run on */
    if (!(r->s[0] | r->s[1] | r->s[2] | r->s[3]))
        rng_seed(r, 1); /* the one state xoshiro never leaves */
}

static inline uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    assert(n > 0);
    uint64_t limit = -n % n; /* numbers below it would favour small results */
    uint64_t x;
    do
        x = rng_u64(r);
    while (x < limit);
    return x % n;
}
