/*
 * watch_load: many watchers on few connections.
 *
 * usage: bench_watch_load --target ADDR:PORT --mode deliver|idle [--watchers N] [--connections N]
 *                         [--streams N] [--puts N] [--inflight N]
 *                         [--step 1]
 *
 * deliver: all watchers on one key; another connection puts it --puts times, --inflight at a time
 *          (with --step 1: the next one when every watcher has the event of the last);
 *          prints "EVENTS SECONDS": events delivered, and the time from the first put to the last
 *          event.
 * idle:    each watcher on a key of its own; prints "ready" once all are made and stays until its
 *          standard input ends, so that the server's memory can be looked at.
 */
#include "h2client.h"

#include <poll.h>

#include "rpc.pb-c.h"

#define PATH_WATCH   "/etcdserverpb.Watch/Watch"
#define PATH_PUT     "/etcdserverpb.KV/Put"
#define FIELD_EVENTS 11
#define VALUE_BYTES  256
#define CONNS_MAX    512
#define STALL_S      30 /* without any event: something is lost */
#define WATCHED_KEY  "bench/watched"
#define CREATE_BATCH 64 /* watches asked for before answers are read */
#define KEY_BYTES    64

struct load {
    struct h2c *conns[CONNS_MAX + 1]; /* the last one puts */
    size_t nconns;
    size_t watchers, messages, events;
    size_t puts_sent, puts_total, inflight;
    bool step;
};

static void on_watch_message(void *ctx, struct slice m)
{
    struct load *l = ctx;

    l->messages++;
    l->events += pb_count(m, FIELD_EVENTS);
}

static void on_watch_end(void *ctx, int status)
{
    bench_die("a watch stream ended with gRPC status %d", status);
}

static void make_create(Etcdserverpb__WatchRequest *req, Etcdserverpb__WatchCreateRequest *create,
                        char key[KEY_BYTES], const char *format, size_t n)
{
    *req = (Etcdserverpb__WatchRequest)ETCDSERVERPB__WATCH_REQUEST__INIT;
    *create = (Etcdserverpb__WatchCreateRequest)ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    snprintf(key, KEY_BYTES, "%s/%zu", format, n);
    if (strcmp(format, WATCHED_KEY) == 0)
        snprintf(key, KEY_BYTES, "%s", format);
    create->key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
    req->request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    req->create_request = create;
}

/* Spreads the watchers over streams and those over connections, and waits for every answer. */
static void create_watchers(struct load *l, size_t streams, const char *key_format)
{
    cleanup_free struct h2c_call **calls = xcalloc(streams, sizeof(struct h2c_call *));
    struct h2c_callbacks cb = {on_watch_message, on_watch_end, l};
    Etcdserverpb__WatchRequest req;
    Etcdserverpb__WatchCreateRequest create;
    char key[KEY_BYTES];

    for (size_t i = 0; i < l->watchers; i++) {
        struct h2c_call **call = &calls[i % streams];
        make_create(&req, &create, key, key_format, i);
        if (!*call)
            *call = h2c_call(l->conns[i % streams % l->nconns], PATH_WATCH, &req.base, true, &cb);
        else
            h2c_send(*call, &req.base);
        while (i - MIN(i, l->messages) > CREATE_BATCH)
            h2c_poll(l->conns, l->nconns, -1);
    }
    while (l->messages < l->watchers)
        h2c_poll(l->conns, l->nconns, -1);
}

static void send_put(struct load *l);

static void on_put_end(void *ctx, int status)
{
    struct load *l = ctx;

    if (status != 0)
        bench_die("a put ended with gRPC status %d", status);
    if (!l->step && l->puts_sent < l->puts_total)
        send_put(l);
}

static void send_put(struct load *l)
{
    static uint8_t value[VALUE_BYTES];
    static char key[] = WATCHED_KEY;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct h2c_callbacks cb = {NULL, on_put_end, l};

    put.key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
    put.value = (ProtobufCBinaryData){sizeof(value), value};
    h2c_call(l->conns[l->nconns], PATH_PUT, &put.base, false, &cb);
    l->puts_sent++;
}

static void run_deliver(struct load *l)
{
    size_t expected = l->watchers * l->puts_total, seen = 0;
    double start = bench_now_s(), last = start;

    for (size_t i = 0; i < MIN(l->inflight, l->puts_total); i++)
        send_put(l);
    while (l->events < expected) {
        h2c_poll(l->conns, l->nconns + 1, 1000);
        if (l->events > seen) {
            seen = l->events;
            last = bench_now_s();
            if (l->step && seen == l->watchers * l->puts_sent && seen < expected)
                send_put(l);
        } else if (bench_now_s() - last > STALL_S) {
            bench_die("only %zu of %zu events came", l->events, expected);
        }
    }
    printf("%zu %.6f\n", l->events, last - start);
}

static void wait_for_stdin(struct load *l)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char c;

    while (poll(&in, 1, 0) == 0 || read(STDIN_FILENO, &c, 1) > 0)
        h2c_poll(l->conns, l->nconns, 100);
}

int main(int argc, char **argv)
{
    struct load *l = xcalloc(1, sizeof(*l));
    const char *target = bench_arg(argc, argv, "target", NULL);
    bool idle = strcmp(bench_arg(argc, argv, "mode", "deliver"), "idle") == 0;
    size_t streams;

    l->watchers = bench_arg_u64(argc, argv, "watchers", 1000);
    l->nconns = bench_arg_u64(argc, argv, "connections", 10);
    l->puts_total = bench_arg_u64(argc, argv, "puts", 1000);
    l->step = bench_arg_u64(argc, argv, "step", 0) != 0;
    l->inflight = l->step ? 1 : bench_arg_u64(argc, argv, "inflight", 8);
    streams = bench_arg_u64(argc, argv, "streams", l->nconns);
    if (l->nconns == 0 || l->nconns > CONNS_MAX || streams < l->nconns)
        bench_die("--connections must be 1 to %d, --streams at least as many", CONNS_MAX);
    for (size_t i = 0; i <= l->nconns; i++)
        l->conns[i] = h2c_connect(target);
    create_watchers(l, streams, idle ? "bench/idle" : WATCHED_KEY);
    if (idle) {
        puts("ready");
        fflush(stdout);
        wait_for_stdin(l);
    } else {
        run_deliver(l);
    }
    for (size_t i = 0; i <= l->nconns; i++)
        h2c_free(l->conns[i]);
    free(l);
    return 0;
}
