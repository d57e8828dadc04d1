/*
 * h2client: the cheapest gRPC client that can load a server: nghttp2 on non-blocking sockets, one
 * thread, answers scanned and not decoded. For benchmarks only; programs use client/.
 *
 * A struct h2c is one connection. The program polls its fd, calls h2c_on_readable/h2c_flush, and
 * gets each answer message through the callback of its call. All failures end the process with a
 * message: a benchmark that lost a connection measured nothing.
 */
#ifndef BENCH_H2CLIENT_H
#define BENCH_H2CLIENT_H

#include <protobuf-c/protobuf-c.h>

#include "base/slice.h"
#include "base/util.h"

struct h2c;
struct h2c_call;

struct h2c_callbacks {
    void (*on_message)(void *ctx, struct slice message); /* may be NULL; valid during the call */
    void (*on_end)(void *ctx, int grpc_status);          /* may be NULL */
    void *ctx;
};

/* "127.0.0.1:2379" */
struct h2c *h2c_connect(const char *target);
void h2c_free(struct h2c *c);
int h2c_fd(const struct h2c *c);
/* Something waits to be sent: poll for POLLOUT too. */
bool h2c_wants_write(const struct h2c *c);
void h2c_on_readable(struct h2c *c);
void h2c_flush(struct h2c *c);

/* Starts a call with one request message; more follow with h2c_send while stream is true. */
struct h2c_call *h2c_call(struct h2c *c, const char *path, const ProtobufCMessage *request,
                          bool stream, const struct h2c_callbacks *cb);
void h2c_send(struct h2c_call *call, const ProtobufCMessage *request);

/* Polls n connections once, at most timeout_ms (-1: until something happens), and serves them. */
void h2c_poll(struct h2c **conns, size_t n, int timeout_ms);

/* How often field `number` (below 16, length-delimited) stands at the top level of a message. */
size_t pb_count(struct slice message, unsigned number);

/* Prints and ends the process with status 1. */
void bench_die(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
/* The value of "--name" in argv, or def. Numbers are checked. */
const char *bench_arg(int argc, char **argv, const char *name, const char *def);
uint64_t bench_arg_u64(int argc, char **argv, const char *name, uint64_t def);
double bench_now_s(void);

#endif
