/* etcdutl: works on the files of a stopped member: check, defrag, snapshot status and restore. */
#include <stdio.h>

#include "base/opt.h"
#include "etcd/conf.h"
#include "etcd/db_fault.h"
#include "etcdutl/commands.h"

static const char *const formats[] = {"simple", "json", NULL};

#define C struct util_conf
static const struct opt options[] = {
    OPT_STR("data-dir", C, data_dir, .help = "Data directory of the member."),
    OPT_STR("wal-dir", C, wal_dir, .help = "Its log, when kept elsewhere."),
    OPT_STR("name", C, name, .def = "default", .help = "restore: name of the member."),
    OPT_STR("initial-cluster-token", C, initial_cluster_token, .def = "etcd-cluster",
            .help = "restore: token of the new cluster."),
    OPT_LIST("initial-advertise-peer-urls", C, initial_advertise_peer_urls,
             .def = "http://localhost:2380", .help = "restore: peer URLs of the member."),
    OPT_IGNORED("initial-cluster", .help = "restore: accepted; there is one member."),
    OPT_BOOL("skip-hash-check", C, skip_hash_check,
             .help = "Take a snapshot whose sum does not match (a copied data file)."),
    OPT_ENUM("write-out", C, format, .letter = 'w', .def = "simple", .choices = formats,
             .help = "Form of what is printed."),
    OPT_END,
};
#undef C

struct command {
    const char *words[2]; /* second NULL: one word */
    int (*run)(const struct util_conf *c, int nargs, char **args, struct err *e);
    int nargs;
    bool needs_data_dir;
    const char *usage;
    const char *help;
};
static const struct command commands[] = {
    {{"check"},
     util_check,
     0,
     true,
     "check --data-dir DIR",
     "Reads and verifies everything a member has stored."},
    {{"defrag"},
     util_defrag,
     0,
     true,
     "defrag --data-dir DIR",
     "Rewrites the store's file without free pages."},
    {{"snapshot", "status"},
     util_snapshot_status,
     1,
     false,
     "snapshot status FILE",
     "Hash, revision, keys and bytes of a snapshot."},
    {{"snapshot", "restore"},
     util_snapshot_restore,
     1,
     false,
     "snapshot restore FILE --data-dir DIR",
     "Makes a data directory from a snapshot."},
    {{"version"}, util_version, 0, false, "version", "Prints the version."},
};

int util_version(const struct util_conf *c, int nargs, char **args, struct err *e)
{
    printf("etcdutl version: %s\nAPI version: 3.6\n", ETCD_VERSION);
    return 0;
}

static void print_help(void)
{
    printf("Usage: etcdutl COMMAND [flags]\n\nCommands on the files of a stopped member:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-42s %s\n", commands[i].usage, commands[i].help);
    printf("\nFlags:\n");
    opt_print_help(options, stdout);
}

static const struct command *find(int n, char **words)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *c = &commands[i];
        int need = c->words[1] ? 2 : 1;
        if (n >= need && strcmp(words[0], c->words[0]) == 0 &&
            (need == 1 || strcmp(words[1], c->words[1]) == 0))
            return c;
    }
    return NULL;
}

static int run(struct util_conf *c, struct opt_set *set, int n, char **words, struct err *e)
{
    static const char *const names[] = {"check", "defrag", "snapshot", "version", NULL};
    const struct command *cmd = find(n, words);

    if (!cmd) {
        const char *near = n ? opt_did_you_mean(words[0], names) : NULL;
        return err_set(e, ERR_USAGE, "unknown command '%s'%s%s%s; see etcdutl --help",
                       n ? words[0] : "", near ? " (did you mean '" : "", near ? near : "",
                       near ? "'?)" : "");
    }
    int taken = cmd->words[1] ? 2 : 1;
    if (n - taken != cmd->nargs)
        return err_set(e, ERR_USAGE, "usage: etcdutl %s", cmd->usage);
    if (cmd->needs_data_dir && !c->data_dir)
        return err_set(e, ERR_USAGE, "--data-dir is missing; usage: etcdutl %s", cmd->usage);
    return cmd->run(c, n - taken, words + taken, e);
}

int main(int argc, char **argv)
{
    struct util_conf c = {0};
    struct opt_set set;
    struct err e = {0};
    cleanup_free char **words = xcalloc((size_t)argc + 1, sizeof *words);
    int n = 0;
    bool help = false;

    db_fault_install();
    opt_init(&set, options, &c, "ETCDUTL_");
    int r = opt_parse_args(&set, argc, argv, false, words, &n, &help, &e);
    if (help || (r == 0 && n == 0))
        print_help();
    else if (r == 0)
        r = run(&c, &set, n, words, &e);
    if (r < 0)
        fprintf(stderr, "Error: %s\n", e.msg[0] ? e.msg : err_text(r));
    opt_free(&set);
    return err_exit(r);
}
