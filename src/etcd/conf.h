/*
 * conf: the member's settings, from flags, ETCD_* environment or a config file. The table in conf.c
 * is the one place that names them.
 */
#ifndef ETCD_CONF_H
#define ETCD_CONF_H

#include "base/opt.h"

#define ETCD_VERSION         "3.6.14" /* the upstream release whose behaviour we follow */
#define ETCD_CLUSTER_VERSION "3.6.0"
#define ETCD_QUOTA_DEFAULT   (2ULL * 1024 * 1024 * 1024) /* upstream's; bytes */

enum etcd_compaction_mode { COMPACT_PERIODIC, COMPACT_REVISION };

struct etcd_conf {
    char *name;
    char *data_dir;
    char *wal_dir;
    char **listen_client_urls, **advertise_client_urls;
    char **listen_peer_urls, **initial_advertise_peer_urls;
    char **listen_metrics_urls;
    char *initial_cluster, *initial_cluster_token;
    uint64_t heartbeat_ms, election_ms;
    uint64_t snapshot_count;
    int64_t quota_bytes;
    uint64_t max_txn_ops, max_request_bytes, max_streams;
    uint64_t keepalive_min_ns, keepalive_interval_ns, keepalive_timeout_ns;
    int compaction_mode;
    char *compaction_retention;
    uint64_t compaction_batch, compaction_sleep_ns;
    uint64_t watch_progress_ns;
    bool client_cert_auth, auto_tls;
    char *cert_file, *key_file, *trusted_ca_file, *client_crl_file, *client_cert_allowed_hostname;
    uint64_t self_signed_years;
    int log_level, log_format;
    bool unsafe_no_fsync;
    uint64_t check_interval_ns; /* ours: how often the stored data is verified in the background; 0:
                                   never */
    char *config_file;
    bool version;
};

extern const struct opt etcd_options[];

/* Parses everything into *c (zeroed by the caller). 0; 1: --version or --help was answered, exit 0;
 * negative with *e. */
int etcd_conf_parse(struct etcd_conf *c, struct opt_set *set, int argc, char **argv, char **env,
                    struct err *e);

/* A client or peer URL taken apart. */
struct etcd_url {
    bool tls;
    char host[256];
    uint16_t port;
};
/* "http://host:port" or "https://..."; unix:// and paths are refused by name. 0 or ERR_CONFIG. */
int etcd_url_parse(const char *s, struct etcd_url *ret, struct err *e);

#endif
