/* etcd: reads its settings, opens the member, listens, and runs the loop until it is told to end.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "etcd/api.h"
#include "etcd/conf.h"
#include "etcd/db_fault.h"
#include "etcd/endpoints.h"
#include "etcd/server.h"
#include "io/server.h"
#include "io/tls.h"
#include "wire/limits.h"

#define STOP_GRACE_MS 1000 /* answers on their way out when we are told to end */
#define TLS_RELOAD_MS 1000 /* how often certificate files are looked at */
#define MMAP_BYTES                                                                                 \
    (1024 * 1024) /* larger blocks go back to the system when freed: a burst leaves no trace */
/* Free memory kept at the heap's end: what the queues of many streams take and give back with every
 * write that many watch. Without it each such write pays for fresh pages. */
#define TRIM_BYTES (4 * 1024 * 1024)

extern char **environ;

struct daemon {
    struct etcd_conf conf;
    struct opt_set opts;
    uv_loop_t loop;
    struct server *server;
    struct io_server *io, *metrics_io;
    struct grpc_methods *methods;
    struct tls_context *tls;
    struct endpoints *endpoints;
    uv_signal_t signals[2];
    uv_timer_t tls_timer;
    bool ending;
    unsigned io_stopping; /* io servers not yet done with it */
};

static const struct grpc_method *const services[] = {
    kv_methods,       watch_methods,       lease_methods,    cluster_methods, lock_methods,
    election_methods, maintenance_methods, snapshot_methods, health_methods,  auth_methods};

static void warn_ignored(const struct opt_set *opts)
{
    size_t at = 0;

    for (const char *v; (v = opt_env_unknown(opts, environ, &at));) {
        cleanup_free char *name =
            xasprintf("%.*s", (int)strcspn(v, "="), v); /* values may be secret */
        log_warn("etcdmain", "unrecognized environment variable",
                 LOG_STR("environment-variable", name));
    }
    for (const struct opt *o = opts->rows; o->type != OPT_TYPE_END; o++)
        if (o->type == OPT_TYPE_IGNORED && opt_given(opts, o->name))
            log_warn("etcdmain", "this flag is accepted and has no effect here",
                     LOG_STR("flag", o->name));
}

static void setup_log(const struct etcd_conf *c)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO,  LOG_WARN,
                                            LOG_ERROR, LOG_FATAL, LOG_FATAL};

    log_setup(levels[c->log_level], c->log_format == 0 ? LOG_JSON : LOG_KV, STDERR_FILENO);
}

/* Connections are bounded by our own limit, not by a low soft limit of the shell's. */
static void raise_file_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static bool wants_tls(const struct etcd_conf *c)
{
    struct etcd_url u;

    for (char **s = c->listen_client_urls; *s; s++)
        if (etcd_url_parse(*s, &u, NULL) == 0 && u.tls)
            return true;
    return false;
}

static int open_tls(struct daemon *d, struct err *e)
{
    const struct etcd_conf *c = &d->conf;
    struct tls_files f = {.cert = c->cert_file,
                          .key = c->key_file,
                          .trusted_ca = c->trusted_ca_file,
                          .crl = c->client_crl_file,
                          .client_cert_required = c->client_cert_auth,
                          .allowed_hostname = c->client_cert_allowed_hostname};

    if (!wants_tls(c))
        return 0;
    if (c->cert_file)
        return tls_server_context(&f, &d->tls, e);
    if (!c->auto_tls)
        return err_set(
            e, ERR_CONFIG,
            "an https:// URL is listened on: give --cert-file and --key-file, or --auto-tls");
    cleanup_free char *parent = xasprintf("%s/fixtures", c->data_dir);
    cleanup_free char *fixtures = xasprintf("%s/client", parent);
    if (mkdir(parent, 0700) < 0 && errno != EEXIST)
        return err_set(e, -errno, "make directory '%s'", parent);
    return tls_server_context_auto(fixtures, (unsigned)c->self_signed_years, &d->tls, e);
}

static void on_tls_timer(uv_timer_t *t)
{
    struct daemon *d = t->data;
    struct err e = {0};

    if (!tls_context_stale(d->tls))
        return;
    if (tls_context_reload(d->tls, &e) < 0)
        log_warn("embed", "certificates changed but cannot be used; the old ones stay",
                 LOG_STR("error", e.msg));
    else
        log_info("embed", "certificates reloaded");
}

static void log_serving(const struct etcd_url *u, uint16_t port)
{
    cleanup_free char *address = xasprintf("%s:%u", u->host, port);

    if (!u->tls)
        log_info("embed", "serving client traffic insecurely; this is strongly discouraged!",
                 LOG_STR("traffic", "grpc+http"), LOG_STR("address", address));
    else
        log_info("embed", "serving client traffic securely", LOG_STR("traffic", "grpc+http"),
                 LOG_STR("address", address));
}

static int listen_all(struct daemon *d, struct io_server *io, char **urls, bool clients,
                      struct err *e)
{
    for (char **s = urls; *s; s++) {
        struct etcd_url u;
        uint16_t port;
        if (!**s)
            continue;
        int r = etcd_url_parse(*s, &u, e);
        if (r == 0)
            r = io_server_listen(io, u.host, u.port, u.tls ? d->tls : NULL, &port, e);
        if (r < 0)
            return err_wrap(e, r, "listen on '%s'", *s);
        if (clients)
            log_serving(&u, port);
        else
            log_info("embed", "serving metrics", LOG_STR("url", *s), LOG_U64("port", port));
    }
    return 0;
}

static struct io_server_conf io_conf(struct daemon *d)
{
    const struct etcd_conf *c = &d->conf;

    return (struct io_server_conf){
        .loop = &d->loop,
        .methods = d->methods,
        .http = endpoints_handle,
        .http_ctx = d->endpoints,
        .request_max = c->max_request_bytes + LIMIT_GRPC_OVERHEAD,
        .streams_max = (uint32_t)MIN(c->max_streams, (uint64_t)LIMIT_STREAMS),
        .connections_max = LIMIT_CONNECTIONS,
        .keepalive_min_ns = c->keepalive_min_ns,
        .keepalive_interval_ns = c->keepalive_interval_ns,
        .keepalive_timeout_ns = c->keepalive_timeout_ns,
        .on_turn = server_turn,
        .turn_ctx = d->server,
    };
}

static int open_io(struct daemon *d, struct err *e)
{
    d->methods = grpc_methods_new(d->server);
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        grpc_methods_add(d->methods, services[i]);
    d->endpoints = endpoints_new(d->server, d->methods);
    struct io_server_conf ic = io_conf(d);
    int r = io_server_new(&ic, &d->io, e);
    if (r == 0)
        r = listen_all(d, d->io, d->conf.listen_client_urls, true, e);
    if (r < 0 || !d->conf.listen_metrics_urls || !d->conf.listen_metrics_urls[0])
        return r;
    ic.methods = NULL;
    ic.on_turn = NULL;
    r = io_server_new(&ic, &d->metrics_io, e);
    return r < 0 ? r : listen_all(d, d->metrics_io, d->conf.listen_metrics_urls, false, e);
}

/* --- end --- */

static void on_io_stopped(void *ctx)
{
    struct daemon *d = ctx;

    if (--d->io_stopping == 0)
        uv_stop(&d->loop);
}

/* The loop ends once both have let their connections go. */
static void stop_io(struct daemon *d, uint64_t grace_ms)
{
    struct io_server *const all[] = {d->io, d->metrics_io};

    d->ending = true;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        d->io_stopping += all[i] != NULL;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i])
            io_server_stop(all[i], grace_ms, on_io_stopped, d);
}

static void on_signal(uv_signal_t *sig, int number)
{
    struct daemon *d = sig->data;

    if (d->ending)
        return;
    log_info("osutil", "received signal; shutting down",
             LOG_STR("signal", number == SIGINT ? "interrupt" : "terminated"));
    stop_io(d, STOP_GRACE_MS);
}

static void watch_signals(struct daemon *d)
{
    static const int numbers[] = {SIGINT, SIGTERM};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    if (!d->tls)
        return;
    uv_timer_init(&d->loop, &d->tls_timer);
    d->tls_timer.data = d;
    uv_timer_start(&d->tls_timer, on_tls_timer, TLS_RELOAD_MS, TLS_RELOAD_MS);
}

static void close_handle(uv_handle_t *h, void *arg)
{
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void daemon_close(struct daemon *d)
{
    if (!d->ending)
        stop_io(d, 0); /* a start that failed */
    while (d->io_stopping)
        uv_run(&d->loop, UV_RUN_ONCE);
    if (d->server)
        server_stop(d->server);
    io_server_free(d->metrics_io);
    io_server_free(d->io);
    uv_walk(&d->loop, close_handle, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    endpoints_free(d->endpoints);
    grpc_methods_free(d->methods);
    server_free(d->server);
    tls_context_free(d->tls);
    uv_loop_close(&d->loop);
    opt_free(&d->opts);
}

/* The lines that tests, units and scripts of all upstream generations wait for. */
static void say_ready(struct daemon *d)
{
    const struct etcd_conf *c = &d->conf;

    log_info("etcdserver", "set initial cluster version", LOG_STR("cluster-version", "3.6"));
    log_info("api", "enabled capabilities for version", LOG_STR("cluster-version", "3.6"));
    log_info("etcdserver", "published local member to cluster through raft",
             LOG_HEX("local-member-id", server_member_id(d->server)), LOG_STR("name", c->name),
             LOG_HEX("cluster-id", server_cluster_id(d->server)));
    log_info("embed", "ready to serve client requests");
}

static int run(struct daemon *d, struct err *e)
{
    int r = server_open(&d->conf, &d->loop, &d->server, e);

    if (r == 0)
        r = open_tls(d, e);
    if (r == 0)
        r = open_io(d, e);
    if (r < 0)
        return r;
    server_start(d->server, d->io);
    watch_signals(d);
    say_ready(d);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    return 0;
}

int main(int argc, char **argv)
{
    static struct daemon d;
    struct err e = {0};

    int r = etcd_conf_parse(&d.conf, &d.opts, argc, argv, environ, &e);
    if (r > 0)
        return 0;
    if (r < 0) {
        fprintf(stderr, "etcd: %s\nTry 'etcd --help'.\n", e.msg);
        return r == ERR_USAGE ? 2 : 1;
    }
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
    setup_log(&d.conf);
    raise_file_limit();
    db_fault_install();
    warn_ignored(&d.opts);
    log_info("etcdmain", "starting etcd", LOG_STR("version", ETCD_VERSION),
             LOG_STR("stead-version", STEAD_VERSION), LOG_STR("data-dir", d.conf.data_dir));
    uv_loop_init(&d.loop);
    r = run(&d, &e);
    if (r < 0)
        log_fatal("etcdmain", "failed to start etcd", LOG_STR("error", e.msg));
    daemon_close(&d);
    return r < 0 ? err_exit(r) : 0;
}
