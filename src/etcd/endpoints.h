/*
 * endpoints: what the client port answers to plain HTTP: /version, /health, /livez, /readyz,
 * /metrics.
 */
#ifndef ETCD_ENDPOINTS_H
#define ETCD_ENDPOINTS_H

#include "wire/grpc.h"
#include "wire/http.h"

struct endpoints;
struct server;

/* Both are borrowed. */
struct endpoints *endpoints_new(struct server *s, struct grpc_methods *methods);
void endpoints_free(struct endpoints *x);
/* An http_handler; ctx: struct endpoints. */
void endpoints_handle(void *ctx, struct http_exchange *x);

#endif
