/*
 * client_internal: the parts of struct client that client.c (calls, streams) and client_conn.c
 * (socket, TLS, endpoints) share.
 */
#ifndef CLIENT_CLIENT_INTERNAL_H
#define CLIENT_CLIENT_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "client/client.h"
#include "io/tls.h"
#include "wire/grpc_client.h"

struct endpoint {
    char *text; /* as given */
    char *host, *port;
    char *authority; /* host:port */
    bool tls;
};

struct client {
    struct client_conf conf; /* its strings are not used after client_new */
    struct endpoint *endpoints;
    size_t nendpoints;
    size_t at; /* the endpoint in use, or next to be tried */

    int fd;     /* -1: not connected */
    bool heard; /* the peer has sent something on this connection */
    struct grpc_client *grpc;
    struct tls_context *tls_context;
    struct tls_conn *tls;
    struct buf plain; /* decrypted */

    struct list streams;
    struct list ready;
};

int endpoint_parse(struct endpoint *ep, const char *text, bool tls, struct err *e);
void endpoint_deinit(struct endpoint *ep);

/* Makes a connection before deadline_ns (monotonic), trying each endpoint in turn again and again.
 * 0; ERR_UNAVAILABLE with the last reason. */
int client_conn_open(struct client *c, uint64_t deadline_ns, struct err *e);
bool client_conn_usable(const struct client *c);
/* Ends every call on it with UNAVAILABLE and closes the socket. */
void client_conn_close(struct client *c, const char *text);
/* One turn: sends what waits, receives once. 0; ERR_DEADLINE: nothing until deadline_ns; -EINTR;
 * ERR_UNAVAILABLE: the connection has been closed. */
int client_conn_turn(struct client *c, uint64_t deadline_ns, int wake_fd, struct err *e);

uint64_t client_now_ns(void);

#endif
