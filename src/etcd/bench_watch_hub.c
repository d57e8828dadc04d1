/*
 * bench_watch_hub: deliveries per second of the hub alone: one stream each for N watchers of one
 * key, a transport that only counts.
 *
 * usage: bench_watch_hub [WATCHERS [PUBLISHES]]
 */
#include <malloc.h>
#include <stdio.h>

#include "base/clock.h"
#include "etcd/fake_etcd.h"
#include "etcd/watch_stream.h"

static double seconds(void)
{
    return (double)clock_mono_ns(&clock_system) / NS_PER_S;
}

static void publish_all(struct watch_hub *h, unsigned long n)
{
    static const uint8_t value[256];

    for (unsigned long i = 0; i < n; i++) {
        struct mvcc_event ev = {.kv = {.key = SLICE_LIT("key"),
                                       .value = slice_of(value, sizeof value),
                                       .create_rev = 2,
                                       .mod_rev = (int64_t)i + 2,
                                       .version = (int64_t)i + 1}};
        watch_hub_publish(h, &ev, 1, ev.kv.mod_rev);
        watch_hub_flush(h);
    }
}

int main(int argc, char **argv)
{
    unsigned long watchers = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    unsigned long publishes = argc > 2 ? strtoul(argv[2], NULL, 10) : 10000;
    struct server *s = fake_server_new();
    struct watch_hub *h = server_watches(s);
    struct grpc_call *c = fake_call(s, watch_methods, "/etcdserverpb.Watch/Watch");
    struct watch_stream **streams = xcalloc(watchers, sizeof *streams);

    fake_call_discard(c);
    size_t before = mallinfo2().uordblks;
    for (unsigned long i = 0; i < watchers; i++) {
        streams[i] = watch_stream_new(h, c);
        watch_stream_create(streams[i], &(struct watch_create){.key = SLICE_LIT("key")});
    }
    size_t bytes = mallinfo2().uordblks - before;
    double start = seconds();
    publish_all(h, publishes);
    double took = seconds() - start;
    double all = (double)watchers * (double)publishes;
    printf("watchers=%lu publishes=%lu deliveries_per_s=%.0f ns_per_delivery=%.0f "
           "bytes_per_watcher_and_stream=%zu\n",
           watchers, publishes, all / took, took / all * 1e9, bytes / watchers);
    for (unsigned long i = 0; i < watchers; i++)
        watch_stream_free(streams[i]);
    free(streams);
    fake_call_free(c);
    fake_server_free(s);
    return 0;
}
