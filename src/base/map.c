#include "base/map.h"

#define MAP_FIRST_CAP 16

static inline uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

uint64_t siphash13(const uint64_t seed[2], struct slice s)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575ULL, seed[1] ^ 0x646f72616e646f6dULL,
                     seed[0] ^ 0x6c7967656e657261ULL, seed[1] ^ 0x7465646279746573ULL};
    size_t words = s.n / 8;

    for (size_t i = 0; i < words; i++) {
        uint64_t m = get_le64(s.p + i * 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)s.n << 56;
    for (size_t i = words * 8; i < s.n; i++)
        last |= (uint64_t)s.p[i] << (8 * (i % 8));
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m, const uint64_t seed[2])
{
    *m = (struct map){.seed = {seed[0], seed[1]}};
}

void map_deinit(struct map *m)
{
    free(m->slots);
    m->slots = NULL;
    m->cap = m->n = 0;
}

/* The slot that holds key, or the free slot where it belongs. Linear probing; the table is never
 * more than three quarters full, so a free slot exists. */
static struct map_entry *find(const struct map *m, struct slice key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);

    while (m->slots[i].value && (m->slots[i].hash != hash || !slice_eq(m->slots[i].key, key)))
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

void *map_get(const struct map *m, struct slice key)
{
    if (m->n == 0)
        return NULL;
    return find(m, key, siphash13(m->seed, key))->value;
}

static void resize(struct map *m, size_t cap)
{
    struct map old = *m;

    m->slots = xcalloc(cap, sizeof *m->slots);
    m->cap = cap;
    map_for_each (e, &old)
        *find(m, e->key, e->hash) = *e;
    free(old.slots);
}

void *map_put(struct map *m, struct slice key, void *value)
{
    assert(value);
    if (m->n + 1 > m->cap / 4 * 3)
        resize(m, m->cap ? m->cap * 2 : MAP_FIRST_CAP);
    uint64_t hash = siphash13(m->seed, key);
    struct map_entry *e = find(m, key, hash);
    void *old = e->value;
    if (!old)
        m->n++;
    *e = (struct map_entry){key, value, hash};
    return old;
}

/* Deletion by moving later entries of the probe run back, so no tombstones gather. */
static void close_gap(struct map *m, size_t gap)
{
    size_t mask = m->cap - 1;

    for (size_t i = (gap + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            m->slots[gap] = m->slots[i];
            gap = i;
        }
    }
    m->slots[gap].value = NULL;
}

void *map_remove(struct map *m, struct slice key)
{
    if (m->n == 0)
        return NULL;
    struct map_entry *e = find(m, key, siphash13(m->seed, key));
    void *value = e->value;
    if (!value)
        return NULL;
    close_gap(m, (size_t)(e - m->slots));
    m->n--;
    if (m->cap > MAP_FIRST_CAP && m->n < m->cap / 8)
        resize(m, m->cap / 2);
    return value;
}
