/*
 * metrics_export: the member's figures under upstream's metric names, as Prometheus text.
 */
#ifndef ETCD_METRICS_EXPORT_H
#define ETCD_METRICS_EXPORT_H

#include "base/buf.h"
#include "wire/grpc.h"

struct server;

/* Appends the page to out. methods may be NULL. */
void metrics_export(struct server *s, const struct grpc_methods *methods, uint64_t health_successes,
                    uint64_t health_failures, struct buf *out);

#endif
