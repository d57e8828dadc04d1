#include "etcdctl/perf_stats.h"

#include <math.h>

void perf_stats_add(struct perf_stats *s, double seconds)
{
    double before = seconds - s->mean_s;

    s->n++;
    s->mean_s += before / (double)s->n;
    s->m2 += before * (seconds - s->mean_s);
    if (seconds > s->slowest_s)
        s->slowest_s = seconds;
}

double perf_stats_stddev(const struct perf_stats *s)
{
    return s->n < 2 ? 0 : sqrt(s->m2 / (double)(s->n - 1));
}
