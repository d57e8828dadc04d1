/*
 * rng: randomness as a value handed in. xoshiro256** (Blackman, Vigna): fast, replayable from its
 * seed, and not for secrets; keys and tokens come from the crypto room.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

/* From one number: the same seed gives the same life. */
void rng_seed(struct rng *r, uint64_t seed);
/* From the kernel. */
void rng_seed_os(struct rng *r);
uint64_t rng_u64(struct rng *r);
/* Even in [0, n); n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);

#endif
