/*
 * perf_stats: what check perf reports about many requests. Pure.
 */
#ifndef ETCDCTL_PERF_STATS_H
#define ETCDCTL_PERF_STATS_H

#include <stddef.h>
#include <stdint.h>

struct perf_stats {
    size_t n;
    double slowest_s;
    double mean_s, m2; /* Welford's running mean and sum of squared differences */
};

void perf_stats_add(struct perf_stats *s, double seconds);
/* Of a sample; 0 for less than two. */
double perf_stats_stddev(const struct perf_stats *s);

#endif
