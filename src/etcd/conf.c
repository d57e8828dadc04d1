#include "etcd/conf.h"

#include <stdio.h>

#include "io/opt_yaml.h"
#include "wire/limits.h"

static const char *const compaction_modes[] = {"periodic", "revision", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", "panic", "fatal", NULL};
static const char *const log_formats[] = {"json", "console", NULL};

#define C struct etcd_conf
/* Rows in the order of --help. Upstream flags that mean nothing for a single member of ours are
 * accepted, so that existing units and scripts start, and a warning says that they have no effect.
 */
const struct opt etcd_options[] = {
    OPT_STR("name", C, name, .def = "default", .help = "Human-readable name of this member."),
    OPT_STR("data-dir", C, data_dir, .help = "Path of the data directory (default: NAME.etcd)."),
    OPT_STR("wal-dir", C, wal_dir, .help = "Path of a separate directory for the log."),
    OPT_U64("snapshot-count", C, snapshot_count, .def = "10000", .min = 1, .max = 1000000000,
            .help = "Applied entries after which the log is cut."),
    OPT_MS("heartbeat-interval", C, heartbeat_ms, .def = "100", .min = 1, .max = 50000,
           .unit = "ms", .help = "Time between heartbeats."),
    OPT_MS("election-timeout", C, election_ms, .def = "1000", .min = 1, .max = 50000, .unit = "ms",
           .help = "Time until an election; leases live at least 1.5 times as long."),
    OPT_LIST("listen-peer-urls", C, listen_peer_urls, .replace = true,
             .def = "http://localhost:2380",
             .help = "URLs for peers; a single member does not listen on them."),
    OPT_LIST("listen-client-urls", C, listen_client_urls, .replace = true,
             .def = "http://localhost:2379", .help = "URLs to listen on for clients."),
    OPT_LIST("listen-metrics-urls", C, listen_metrics_urls, .replace = true, .def = "",
             .help = "Further URLs that serve /metrics and /health only."),
    OPT_LIST("initial-advertise-peer-urls", C, initial_advertise_peer_urls, .replace = true,
             .def = "http://localhost:2380", .help = "Peer URLs of this member; they make its id."),
    OPT_LIST("advertise-client-urls", C, advertise_client_urls, .replace = true,
             .def = "http://localhost:2379", .help = "Client URLs told to clients."),
    OPT_STR("initial-cluster", C, initial_cluster, .help = "Members at the first start: NAME=URL."),
    OPT_STR("initial-cluster-token", C, initial_cluster_token, .def = "etcd-cluster",
            .help = "Makes the cluster's id differ from others with the same URLs."),
    OPT_IGNORED("initial-cluster-state", .def = "new", .help = "new or existing."),
    OPT_I64("quota-backend-bytes", C, quota_bytes, .def = "0", .unit = "bytes",
            .help = "Size at which the NOSPACE alarm is raised; 0: 2 GiB, negative: none."),
    OPT_U64("max-txn-ops", C, max_txn_ops, .def = "128", .min = 1, .max = 100000,
            .help = "Operations in one transaction."),
    OPT_U64("max-request-bytes", C, max_request_bytes, .def = "1572864", .min = 1024,
            .max = 7 * 1024 * 1024, .unit = "bytes", .help = "Size of one request."),
    OPT_U64("max-concurrent-streams", C, max_streams, .def = "4294967295",
            .help = "Streams on one connection; at most 1000 are granted."),
    OPT_DURATION("grpc-keepalive-min-time", C, keepalive_min_ns, .def = "5s",
                 .help = "Clients that ping more often are told to go away."),
    OPT_DURATION("grpc-keepalive-interval", C, keepalive_interval_ns, .def = "2h",
                 .help = "Idle clients are pinged this often; 0: never."),
    OPT_DURATION("grpc-keepalive-timeout", C, keepalive_timeout_ns, .def = "20s",
                 .help = "And dropped when no answer comes within this."),
    OPT_ENUM("auto-compaction-mode", C, compaction_mode, .def = "periodic",
             .choices = compaction_modes, .help = "How --auto-compaction-retention is read."),
    OPT_STR("auto-compaction-retention", C, compaction_retention, .def = "0",
            .help = "History to keep: hours or a duration, or revisions; 0: all."),
    OPT_U64("compaction-batch-limit", C, compaction_batch, .def = "1000", .min = 1, .max = 1000000,
            .help = "Revisions removed in one step of a compaction."),
    OPT_DURATION("compaction-sleep-interval", C, compaction_sleep_ns, .def = "10ms",
                 .help = "Pause between steps of a compaction."),
    OPT_DURATION("watch-progress-notify-interval", C, watch_progress_ns, .def = "10m",
                 .help = "Idle time after which watchers that asked hear of progress."),
    OPT_STR("cert-file", C, cert_file, .help = "PEM certificate for clients' TLS."),
    OPT_STR("key-file", C, key_file, .help = "Its key."),
    OPT_BOOL("client-cert-auth", C, client_cert_auth, .help = "Require clients' certificates."),
    OPT_STR("trusted-ca-file", C, trusted_ca_file, .help = "PEM authority that signed them."),
    OPT_STR("client-crl-file", C, client_crl_file, .help = "PEM list of revoked ones."),
    OPT_STR("client-cert-allowed-hostname", C, client_cert_allowed_hostname,
            .help = "DNS name a client's certificate must carry."),
    OPT_BOOL("auto-tls", C, auto_tls,
             .help = "Serve TLS with a certificate made at the first start."),
    OPT_U64("self-signed-cert-validity", C, self_signed_years, .def = "1", .min = 1, .max = 50,
            .unit = "years", .help = "Life of that certificate."),
    OPT_ENUM("log-level", C, log_level, .def = "info", .choices = log_levels,
             .help = "Least severe lines that are written."),
    OPT_ENUM("log-format", C, log_format, .def = "json", .choices = log_formats,
             .help = "json, or console for key=value."),
    OPT_BOOL("unsafe-no-fsync", C, unsafe_no_fsync,
             .help = "Do not wait for the disk: a power failure loses data."),
    OPT_DURATION("data-check-interval", C, check_interval_ns, .def = "24h",
                 .help = "How often all stored data is verified in the background; 0: never."),
    OPT_STR("config-file", C, config_file,
            .help = "YAML file; other flags and environment are then ignored."),
    OPT_BOOL("version", C, version, .help = "Print the version and exit."),
#define IGNORED(n) OPT_IGNORED(n, .hidden = true)
    IGNORED("listen-client-http-urls"),
    IGNORED("strict-reconfig-check"),
    IGNORED("pre-vote"),
    IGNORED("initial-election-tick-advance"),
    IGNORED("max-snapshots"),
    IGNORED("max-wals"),
    IGNORED("backend-batch-interval"),
    IGNORED("backend-batch-limit"),
    IGNORED("backend-bbolt-freelist-type"),
    IGNORED("auth-token"),
    IGNORED("auth-token-ttl"),
    IGNORED("bcrypt-cost"),
    IGNORED("peer-auto-tls"),
    IGNORED("peer-client-cert-auth"),
    IGNORED("peer-cert-file"),
    IGNORED("peer-key-file"),
    IGNORED("peer-client-cert-file"),
    IGNORED("peer-client-key-file"),
    IGNORED("client-cert-file"),
    IGNORED("client-key-file"),
    IGNORED("peer-trusted-ca-file"),
    IGNORED("peer-crl-file"),
    IGNORED("peer-cert-allowed-cn"),
    IGNORED("peer-cert-allowed-hostname"),
    IGNORED("cipher-suites"),
    IGNORED("tls-min-version"),
    IGNORED("tls-max-version"),
    IGNORED("cors"),
    IGNORED("host-whitelist"),
    IGNORED("enable-grpc-gateway"),
    IGNORED("enable-pprof"),
    IGNORED("enable-v2"),
    IGNORED("metrics"),
    IGNORED("logger"),
    IGNORED("log-outputs"),
    IGNORED("log-output"),
    IGNORED("debug"),
    IGNORED("log-package-levels"),
    IGNORED("force-new-cluster"),
    IGNORED("warning-apply-duration"),
    IGNORED("warning-unary-request-duration"),
    IGNORED("corrupt-check-time"),
    IGNORED("compact-hash-check-time"),
    IGNORED("snapshot-catchup-entries"),
    IGNORED("max-learners"),
    IGNORED("downgrade-check-time"),
    IGNORED("bootstrap-defrag-threshold-megabytes"),
    IGNORED("feature-gates"),
    IGNORED("socket-reuse-port"),
    IGNORED("socket-reuse-address"),
    IGNORED("raft-read-timeout"),
    IGNORED("raft-write-timeout"),
    IGNORED("memory-mlock"),
    IGNORED("discovery-srv"),
    IGNORED("discovery-srv-name"),
    IGNORED("discovery"),
    IGNORED("discovery-fallback"),
    IGNORED("discovery-proxy"),
    IGNORED("discovery-token"),
    IGNORED("discovery-endpoints"),
    IGNORED("experimental-initial-corrupt-check"),
    IGNORED("experimental-corrupt-check-time"),
    IGNORED("experimental-compact-hash-check-enabled"),
    IGNORED("experimental-compact-hash-check-time"),
    IGNORED("experimental-enable-lease-checkpoint"),
    IGNORED("experimental-enable-lease-checkpoint-persist"),
    IGNORED("experimental-compaction-batch-limit"),
    IGNORED("experimental-compaction-sleep-interval"),
    IGNORED("experimental-watch-progress-notify-interval"),
    IGNORED("experimental-warning-apply-duration"),
    IGNORED("experimental-warning-unary-request-duration"),
    IGNORED("experimental-snapshot-catchup-entries"),
    IGNORED("experimental-peer-skip-client-san-verification"),
    IGNORED("experimental-memory-mlock"),
    IGNORED("experimental-txn-mode-write-with-shared-buffer"),
    IGNORED("experimental-bootstrap-defrag-threshold-megabytes"),
    IGNORED("experimental-max-learners"),
    IGNORED("experimental-stop-grpc-service-on-defrag"),
    IGNORED("experimental-downgrade-check-time"),
    IGNORED("experimental-enable-distributed-tracing"),
    OPT_END,
};
#undef C

static void print_version(void)
{
    printf("etcd Version: %s\nGit SHA: stead-%s\nGo Version: none (C, %s)\nGo OS/Arch: linux/%s\n",
           ETCD_VERSION, STEAD_VERSION, __VERSION__,
#if defined(__x86_64__)
           "amd64"
#elif defined(__aarch64__)
           "arm64"
#else
           "unknown"
#endif
    );
}

static void print_help(void)
{
    printf("Usage: etcd [flags]\n\n"
           "A key-value store that speaks etcd's v3 API (gRPC). Each flag --a-b may also be given "
           "as the\n"
           "environment variable ETCD_A_B, or as the key a-b of a YAML file named by "
           "--config-file.\n\n"
           "Example: etcd --name one --data-dir /var/lib/etcd --listen-client-urls "
           "http://127.0.0.1:2379 \\\n"
           "              --advertise-client-urls http://127.0.0.1:2379\n\n");
    opt_print_help(etcd_options, stdout);
}

/* Sections of upstream's YAML file whose keys are flags under other names. */
static const struct opt_yaml_row sections[] = {
    {"client-transport-security", "cert-file", "cert-file"},
    {"client-transport-security", "key-file", "key-file"},
    {"client-transport-security", "client-cert-file", "client-cert-file"},
    {"client-transport-security", "client-key-file", "client-key-file"},
    {"client-transport-security", "client-cert-auth", "client-cert-auth"},
    {"client-transport-security", "trusted-ca-file", "trusted-ca-file"},
    {"client-transport-security", "auto-tls", "auto-tls"},
    {"client-transport-security", "allowed-hostname", "client-cert-allowed-hostname"},
    {"peer-transport-security", "cert-file", "peer-cert-file"},
    {"peer-transport-security", "key-file", "peer-key-file"},
    {"peer-transport-security", "client-cert-file", "peer-client-cert-file"},
    {"peer-transport-security", "client-key-file", "peer-client-key-file"},
    {"peer-transport-security", "client-cert-auth", "peer-client-cert-auth"},
    {"peer-transport-security", "trusted-ca-file", "peer-trusted-ca-file"},
    {"peer-transport-security", "auto-tls", "peer-auto-tls"},
    {"peer-transport-security", "allowed-cn", "peer-cert-allowed-cn"},
    {"peer-transport-security", "allowed-hostname", "peer-cert-allowed-hostname"},
    {NULL, NULL, NULL},
};

static int check(const struct etcd_conf *c, const struct opt_set *set, struct err *e)
{
    if (opt_given(set, "listen-client-urls") && !opt_given(set, "advertise-client-urls"))
        return err_set(
            e, ERR_CONFIG,
            "--advertise-client-urls is required when --listen-client-urls is set explicitly");
    if (c->election_ms < 5 * c->heartbeat_ms)
        return err_set(e, ERR_CONFIG,
                       "--election-timeout[%" PRIu64 "ms] should be at least as 5 times as "
                       "--heartbeat-interval[%" PRIu64 "ms]",
                       c->election_ms, c->heartbeat_ms);
    if (c->client_cert_auth && !c->trusted_ca_file)
        return err_set(e, ERR_CONFIG,
                       "--client-cert-auth needs --trusted-ca-file, the authority that "
                       "signed the clients' certificates");
    if (!c->cert_file != !c->key_file)
        return err_set(e, ERR_CONFIG,
                       "--cert-file and --key-file belong together: give both or none");
    return 0;
}

int etcd_conf_parse(struct etcd_conf *c, struct opt_set *set, int argc, char **argv, char **env,
                    struct err *e)
{
    cleanup_free char **words = xcalloc((size_t)argc + 1, sizeof *words);
    int nwords = 0;
    bool help = false;

    opt_init(set, etcd_options, c, "ETCD_");
    int r = opt_parse_args(set, argc, argv, false, words, &nwords, &help, e);
    if (r == 0 && (help || c->version)) {
        help ? print_help() : print_version();
        return 1;
    }
    if (r == 0 && nwords > 0)
        return err_set(e, ERR_USAGE, "'%s' is not a valid flag", words[0]);
    if (r == 0 && !c->config_file && getenv("ETCD_CONFIG_FILE"))
        r = opt_set_value(set, "config-file", getenv("ETCD_CONFIG_FILE"), OPT_FROM_ENV, e);
    if (r == 0)
        r = c->config_file ? opt_yaml_load(set, c->config_file, sections, e)
                           : opt_parse_env(set, env, true, e);
    if (r < 0)
        return r;
    if (!c->data_dir) {
        cleanup_free char *dir = xasprintf("%s.etcd", c->name);
        r = opt_set_value(set, "data-dir", dir, OPT_FROM_DEFAULT, e);
    }
    return r < 0 ? r : check(c, set, e);
}

int etcd_url_parse(const char *s, struct etcd_url *ret, struct err *e)
{
    const char *rest = strstr(s, "://");
    size_t scheme = rest ? (size_t)(rest - s) : 0;

    *ret = (struct etcd_url){.tls = scheme == 5 && strncmp(s, "https", 5) == 0};
    if (!rest || (!ret->tls && !(scheme == 4 && strncmp(s, "http", 4) == 0)))
        return err_set(e, ERR_CONFIG, "URL '%s': expected http://HOST:PORT or https://HOST:PORT",
                       s);
    rest += 3;
    size_t n = strcspn(rest, "/");
    const char *colon = memrchr(rest, ':', n);
    if (rest[n] == '/' && rest[n + 1])
        return err_set(e, ERR_CONFIG, "URL '%s': must not contain a path", s);
    char *end;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (!colon || end != rest + n || colon + 1 == end || port > UINT16_MAX)
        return err_set(e, ERR_CONFIG, "URL '%s': a port from 0 to 65535 is missing behind the host",
                       s);
    size_t host = (size_t)(colon - rest);
    if (host > 1 && rest[0] == '[' && rest[host - 1] == ']') {
        rest++;
        host -= 2;
    }
    if (host >= sizeof ret->host)
        return err_set(e, ERR_CONFIG, "URL '%s': host name is too long", s);
    memcpy(ret->host, rest, host);
    ret->port = (uint16_t)port;
    return 0;
}
