#include "etcdctl/kv_request.h"
#include "etcdctl/perf_stats.h"

#include "base/clock.h"
#include "base/rng.h"

/* check perf: a steady rate of puts for a minute, up to a number of them in flight at once over one
 * connection; then throughput, slowest request and deviation against upstream's bounds. */

#define KEY_BYTES         256
#define VALUE_BYTES       1024
#define SLOWEST_S         0.5
#define STDDEV_S          0.1
#define CLEANUP_ARENA_MAX (1024u * 1024)

struct check_flags {
    struct ctl_flags g;
    char *load, *prefix;
    bool auto_compact, auto_defrag;
    uint64_t duration_ns;
};
static const struct opt perf_rows[] = {
    OPT_STR("load", struct check_flags, load, .def = "s", .arg = "s|m|l|xl",
            .help = "workload: s(mall) 150/s, m(edium) 1000/s, l(arge) 8000/s, xl(arge) 15000/s"),
    OPT_STR("prefix", struct check_flags, prefix, .def = "/etcdctl-check-perf/",
            .help = "the prefix for writing the performance check's keys"),
    OPT_BOOL("auto-compact", struct check_flags, auto_compact,
             .help = "compact storage with last revision after test is finished"),
    OPT_BOOL("auto-defrag", struct check_flags, auto_defrag,
             .help = "defragment storage after test is finished"),
    OPT_DURATION("duration", struct check_flags, duration_ns, .def = "60s", .min = 1000000000,
                 .max = 3600000000000, .help = "how long to write"),
    OPT_END};

static const struct load {
    const char *name, *alias;
    unsigned rate;      /* puts a second */
    unsigned in_flight; /* at most */
} loads[] = {{"s", "small", 150, 50},
             {"m", "medium", 1000, 200},
             {"l", "large", 8000, 500},
             {"xl", "xLarge", 15000, 1000}};

struct perf {
    struct ctl *ctl;
    struct client *c;
    const struct load *load;
    const char *prefix;
    struct rng rng;
    struct perf_stats stats;
    size_t started, errors;
    char first_error[ERR_MSG_MAX];
    unsigned in_flight;
    uint8_t value[VALUE_BYTES];
};

/* A put under way: what its stream carries. */
struct flight {
    uint64_t start_ns;
};

static uint64_t now_ns(void)
{
    return clock_mono_ns(&clock_system);
}

static void note_error(struct perf *p, const char *text)
{
    if (p->errors++ == 0)
        snprintf(p->first_error, sizeof p->first_error, "%s", text);
}

static void start_put(struct perf *p)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    char key[KEY_BYTES + 1];
    struct client_stream *s;
    struct err e = {0};

    snprintf(key, sizeof key, "%s%016" PRIx64 "%0*d", p->prefix, rng_u64(&p->rng), 200, 0);
    request.key = CTL_BYTES(key);
    request.value = (ProtobufCBinaryData){sizeof p->value, p->value};
    p->started++;
    int r = client_stream_open(p->c, "/etcdserverpb.KV/Put",
                               &etcdserverpb__put_response__descriptor, &s, &e);
    if (r < 0) {
        note_error(p, e.msg);
        return;
    }
    struct flight *flight = xcalloc(1, sizeof *flight);
    flight->start_ns = now_ns();
    client_stream_set_user(s, flight);
    p->in_flight++;
    /* What goes wrong here is the stream's end, which is counted when it is taken. */
    if (client_stream_send(s, &request.base, &e) == 0)
        client_stream_half_close(s, &e);
}

/* Counts the stream's put if it has ended. */
static void take_put(struct perf *p, struct client_stream *s)
{
    struct err e = {0};
    int r;

    do {
        cleanup_response ProtobufCMessage *m = NULL;
        r = client_stream_recv(s, 0, -1, &m, &e);
    } while (r == 0);
    if (r == ERR_DEADLINE)
        return;
    struct flight *flight = client_stream_user(s);
    perf_stats_add(&p->stats, (double)(now_ns() - flight->start_ns) / (double)NS_PER_S);
    if (r < 0)
        note_error(p, e.msg);
    free(flight);
    client_stream_close(s);
    p->in_flight--;
}

static void take_ready(struct perf *p)
{
    for (struct client_stream *s; (s = client_ready_stream(p->c));)
        take_put(p, s);
}

/* A line a second while it runs, when somebody looks on. */
static void progress(uint64_t elapsed_ns, uint64_t duration_ns, uint64_t *shown_s)
{
    uint64_t s = elapsed_ns / NS_PER_S, of = duration_ns / NS_PER_S;

    if (s == *shown_s || !isatty(STDERR_FILENO))
        return;
    *shown_s = s;
    fprintf(stderr, "\r %" PRIu64 " / %" PRIu64 " s", s, of);
}

/* Puts are due at even distances; one that could not start in time (too many in flight) starts as
 * soon as it can, but a backlog is not made up for, as with upstream's limiter. */
static double run_puts(struct perf *p, uint64_t duration_ns)
{
    uint64_t start = now_ns(), end = start + duration_ns, step = NS_PER_S / p->load->rate;
    uint64_t due = start, shown_s = 0;
    struct err e;

    for (uint64_t now = start; now < end || p->in_flight > 0; now = now_ns()) {
        while (now < end && now >= due && p->in_flight < p->load->in_flight) {
            start_put(p);
            due = now > due + NS_PER_S ? now : due + step;
        }
        bool full = p->in_flight >= p->load->in_flight || now >= end;
        uint64_t wait = full ? UINT64_MAX : due > now ? due - now : 0;
        int r = client_wait(p->c, wait, -1, &e);
        take_ready(p);
        /* Without a connection nothing else would slow this loop down. */
        if (r < 0 && r != ERR_DEADLINE && client_connect(p->c, &e) < 0)
            break;
        progress(now - start, duration_ns, &shown_s);
    }
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
    return (double)(now_ns() - start) / (double)NS_PER_S;
}

static bool report(const struct perf *p, double seconds)
{
    double rate = (double)(p->stats.n - MIN(p->errors, p->stats.n)) / seconds;
    double stddev = perf_stats_stddev(&p->stats);
    bool ok = p->errors == 0;

    if (p->errors)
        printf("FAIL: too many errors\nFAIL: ERROR(%s) -> %zu\n", p->first_error, p->errors);
    if (rate / p->load->rate <= 0.9) {
        printf("FAIL: Throughput too low: %d writes/s\n", (int)rate + 1);
        ok = false;
    } else {
        printf("PASS: Throughput is %d writes/s\n", (int)rate + 1);
    }
    if (p->stats.slowest_s > SLOWEST_S) {
        printf("Slowest request took too long: %fs\n", p->stats.slowest_s);
        ok = false;
    } else {
        printf("PASS: Slowest request took %fs\n", p->stats.slowest_s);
    }
    if (stddev > STDDEV_S) {
        printf("Stddev too high: %fs\n", stddev);
        ok = false;
    } else {
        printf("PASS: Stddev is %fs\n", stddev);
    }
    puts(ok ? "PASS" : "FAIL");
    return ok;
}

/* Keys under the prefix: counted before, deleted after. */
static int count_keys(struct ctl *ctl, const char *prefix, int64_t *ret_n)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const struct ctl_call call = {.path = "/etcdserverpb.KV/Range",
                                  .request = &request.base,
                                  .response = &etcdserverpb__range_response__descriptor,
                                  .idempotent = true};
    cleanup_response ProtobufCMessage *m = NULL;
    struct arena arena;

    arena_init(&arena, CLEANUP_ARENA_MAX);
    request.key = CTL_BYTES(prefix);
    request.range_end = kv_prefix_end(&arena, slice_str(prefix));
    request.count_only = true;
    int code = ctl_call(ctl, &call, &m);
    arena_deinit(&arena);
    if (code == CTL_OK)
        *ret_n = ((const Etcdserverpb__RangeResponse *)(const void *)m)->count;
    return code;
}

static int delete_keys(struct ctl *ctl, const char *prefix, int64_t *ret_rev)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    const struct ctl_call call = {.path = "/etcdserverpb.KV/DeleteRange",
                                  .request = &request.base,
                                  .response = &etcdserverpb__delete_range_response__descriptor};
    cleanup_response ProtobufCMessage *m = NULL;
    struct arena arena;

    arena_init(&arena, CLEANUP_ARENA_MAX);
    request.key = CTL_BYTES(prefix);
    request.range_end = kv_prefix_end(&arena, slice_str(prefix));
    int code = ctl_call(ctl, &call, &m);
    arena_deinit(&arena);
    if (code == CTL_OK) {
        const Etcdserverpb__DeleteRangeResponse *r = (const void *)m;
        *ret_rev = r->header ? r->header->revision : 0;
    }
    return code;
}

static int compact(struct ctl *ctl, int64_t rev)
{
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    const struct ctl_call call = {.path = "/etcdserverpb.KV/Compact",
                                  .request = &request.base,
                                  .response = &etcdserverpb__compaction_response__descriptor};
    cleanup_response ProtobufCMessage *m = NULL;

    request.revision = rev;
    request.physical = true;
    printf("Compacting with revision %" PRId64 "\n", rev);
    int code = ctl_call(ctl, &call, &m);
    if (code == CTL_OK)
        printf("Compacted with revision %" PRId64 "\n", rev);
    return code;
}

static int defragment(struct ctl *ctl)
{
    Etcdserverpb__DefragmentRequest request = ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;
    const struct ctl_call call = {.path = "/etcdserverpb.Maintenance/Defragment",
                                  .request = &request.base,
                                  .response = &etcdserverpb__defragment_response__descriptor};
    cleanup_response ProtobufCMessage *m = NULL;
    const char *endpoint = client_endpoint(ctl->client);

    printf("Defragmenting \"%s\"\n", endpoint);
    int code = ctl_call(ctl, &call, &m);
    if (code == CTL_OK)
        printf("Defragmented \"%s\"\n", endpoint);
    return code;
}

static int clean_up(struct ctl *ctl, const struct check_flags *f)
{
    int64_t rev = 0;
    int code = delete_keys(ctl, f->prefix, &rev);

    if (code == CTL_OK && f->auto_compact)
        code = compact(ctl, rev);
    if (code == CTL_OK && f->auto_defrag)
        code = defragment(ctl);
    return code;
}

static const struct load *find_load(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(loads); i++)
        if (strcmp(name, loads[i].name) == 0 || strcmp(name, loads[i].alias) == 0)
            return &loads[i];
    return NULL;
}

static int run_perf(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct check_flags *f = (const void *)flags;
    struct perf p = {.ctl = ctl, .load = find_load(f->load), .prefix = f->prefix};
    int64_t found = 0;
    int code = CTL_OK;

    if (!p.load)
        return ctl_error(CTL_BAD_FEATURE, "unknown load option %s", f->load);
    p.c = ctl_client(ctl, &code);
    if (!p.c)
        return code;
    code = count_keys(ctl, f->prefix, &found);
    if (code == CTL_OK && found > 0)
        code = ctl_error(CTL_INVALID_INPUT,
                         "prefix \"%s\" has keys. Delete with etcdctl del --prefix %s first",
                         f->prefix, f->prefix);
    if (code != CTL_OK)
        return code;
    rng_seed_os(&p.rng);
    double seconds = run_puts(&p, f->duration_ns);
    code = clean_up(ctl, f);
    if (code != CTL_OK)
        return code;
    return report(&p, seconds) ? CTL_OK : CTL_ERROR;
}

const struct command commands_check[] = {
    {"check perf", "", "Check the performance of the etcd cluster",
     "$ etcdctl check perf --load m\n"
     "Writes at a steady rate for a minute, with many puts in flight over one connection, and\n"
     "deletes the keys afterwards.\n",
     perf_rows, sizeof(struct check_flags), run_perf},
    {.name = NULL}};
