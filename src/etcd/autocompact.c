#include "etcd/autocompact.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/opt.h"

#define HOUR_NS (3600 * NS_PER_S)

static int parse(struct autocompact *a, const char *text, struct err *e)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    if (*text >= '0' && *text <= '9' && *end == 0) {
        a->retention = a->periodic ? n * HOUR_NS : n;
        if (n <= INT64_MAX / (a->periodic ? HOUR_NS : 1))
            return 0;
    } else if (a->periodic && opt_parse_duration(text, &a->retention) == 0) {
        return 0;
    }
    return err_set(e, ERR_CONFIG, "--auto-compaction-retention '%s': expected %s", text,
                   a->periodic ? "hours (a bare number) or a duration like 30m"
                               : "a number of revisions");
}

int autocompact_init(struct autocompact *a, bool periodic, const char *retention, uint64_t now_ns,
                     struct err *e)
{
    *a = (struct autocompact){.periodic = periodic};
    int r = parse(a, retention, e);
    if (r < 0)
        return r;
    a->interval_ns = periodic ? MIN(a->retention, HOUR_NS) : AUTOCOMPACT_REVISION_NS;
    a->sample_ns = MAX(a->interval_ns / 10, a->retention / (AUTOCOMPACT_SAMPLES - 1));
    a->next_compact_ns = now_ns + (periodic ? a->retention : AUTOCOMPACT_REVISION_NS);
    a->next_sample_ns = now_ns;
    return 0;
}

static void sample(struct autocompact *a, uint64_t now_ns, int64_t rev)
{
    size_t at = (a->first + a->n) % AUTOCOMPACT_SAMPLES;

    a->samples[at].at_ns = now_ns;
    a->samples[at].rev = rev;
    if (a->n < AUTOCOMPACT_SAMPLES)
        a->n++;
    else
        a->first = (a->first + 1) % AUTOCOMPACT_SAMPLES;
    a->next_sample_ns = now_ns + a->sample_ns;
}

/* The newest revision noted at or before `before`; forgets the ones older than that. */
static int64_t sampled(struct autocompact *a, uint64_t before)
{
    int64_t rev = 0;

    while (a->n && a->samples[a->first].at_ns <= before) {
        rev = a->samples[a->first].rev;
        a->first = (a->first + 1) % AUTOCOMPACT_SAMPLES;
        a->n--;
    }
    return rev;
}

int64_t autocompact_tick(struct autocompact *a, uint64_t now_ns, int64_t rev)
{
    if (a->retention == 0)
        return 0;
    if (a->periodic && now_ns >= a->next_sample_ns)
        sample(a, now_ns, rev);
    if (now_ns < a->next_compact_ns)
        return 0;
    a->next_compact_ns = now_ns + a->interval_ns;
    if (a->periodic)
        return sampled(a, now_ns - a->retention);
    return rev > (int64_t)a->retention ? rev - (int64_t)a->retention : 0;
}
