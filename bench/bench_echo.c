/*
 * bench_echo: the network shell alone, with the smallest unary method (health Check), to measure
 * what a call costs before the store does anything.
 *
 * usage: bench_echo PORT [CERT KEY]
 * then:  printf '\0\0\0\0\0' >payload
 *        h2load -n 200000 -c16 -m16 -H 'content-type: application/grpc' -H 'te: trailers' \
 *               -d payload http://127.0.0.1:PORT/grpc.health.v1.Health/Check
 */
#include <stdio.h>

#include "health.pb-c.h"
#include "io/server.h"
#include "io/tls.h"

static void on_check(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    Grpc__Health__V1__HealthCheckResponse r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    r.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    grpc_call_reply(c, &r.base);
}

static const struct grpc_method methods[] = {
    {.path = "/grpc.health.v1.Health/Check",
     .request = &grpc__health__v1__health_check_request__descriptor,
     .on_message = on_check},
    {0},
};

static void on_http(void *ctx, struct http_exchange *x)
{
    if (slice_eq_str(x->req->path, "/health"))
        http_reply(x, 200, "application/json", SLICE_LIT("{\"health\":\"true\",\"reason\":\"\"}"));
    else
        http_reply(x, 404, "text/plain", SLICE_LIT("404 page not found\n"));
}

struct program {
    struct io_server *server;
    uv_signal_t on_int, on_term;
};

static void on_stopped(void *ctx)
{
    struct program *p = ctx;

    uv_close((uv_handle_t *)&p->on_int, NULL);
    uv_close((uv_handle_t *)&p->on_term, NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct program *p = signal->data;

    uv_signal_stop(&p->on_int);
    uv_signal_stop(&p->on_term);
    io_server_stop(p->server, 1000, on_stopped, p);
}

int main(int argc, char **argv)
{
    struct program p;
    struct err e = {0};
    struct tls_context *tls = NULL;
    uint16_t port = 0;
    struct io_server_conf conf = {
        .loop = uv_default_loop(), .methods = grpc_methods_new(NULL), .http = on_http};

    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: bench_echo PORT [CERT KEY]\n");
        return 3;
    }
    grpc_methods_add(conf.methods, methods);
    if (argc == 4 &&
        tls_server_context(&(struct tls_files){.cert = argv[2], .key = argv[3]}, &tls, &e) < 0) {
        fprintf(stderr, "bench_echo: %s\n", e.msg);
        return 1;
    }
    uv_signal_init(conf.loop, &p.on_int);
    uv_signal_init(conf.loop, &p.on_term);
    p.on_int.data = p.on_term.data = &p;
    if (io_server_new(&conf, &p.server, &e) < 0 ||
        io_server_listen(p.server, "127.0.0.1", (uint16_t)strtoul(argv[1], NULL, 10), tls, &port,
                         &e) < 0) {
        fprintf(stderr, "bench_echo: %s\n", e.msg);
        return 1;
    }
    printf("listening on 127.0.0.1:%u\n", (unsigned)port);
    fflush(stdout);
    uv_signal_start(&p.on_int, on_signal, SIGINT);
    uv_signal_start(&p.on_term, on_signal, SIGTERM);
    uv_run(conf.loop, UV_RUN_DEFAULT);
    io_server_free(p.server);
    grpc_methods_free(conf.methods);
    tls_context_free(tls);
    return 0;
}
