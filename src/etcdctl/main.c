#include "etcdctl/ctl.h"

/* The program: finds the command, reads its flags and the environment, runs it. */

#define COMMAND_ROWS_MAX 32 /* flags of one command; get has 14 */
#define GROUPS           10

const struct opt ctl_global_rows[] = {
    OPT_LIST("endpoints", struct ctl_flags, endpoints, .def = "127.0.0.1:2379",
             .help = "gRPC endpoints"),
    OPT_DURATION("dial-timeout", struct ctl_flags, dial_timeout_ns, .def = "2s",
                 .help = "dial timeout for client connections"),
    OPT_DURATION("command-timeout", struct ctl_flags, command_timeout_ns, .def = "5s",
                 .help = "timeout for short running command (excluding dial timeout)"),
    OPT_DURATION("keepalive-time", struct ctl_flags, keepalive_time_ns, .def = "2s",
                 .help = "keepalive time for client connections"),
    OPT_DURATION("keepalive-timeout", struct ctl_flags, keepalive_timeout_ns, .def = "6s",
                 .help = "keepalive timeout for client connections"),
    OPT_STR("cacert", struct ctl_flags, cacert, .arg = "FILE",
            .help = "verify certificates of TLS-enabled secure servers using this CA bundle"),
    OPT_STR("cert", struct ctl_flags, cert, .arg = "FILE",
            .help = "identify secure client using this TLS certificate file"),
    OPT_STR("key", struct ctl_flags, key, .arg = "FILE",
            .help = "identify secure client using this TLS key file"),
    OPT_BOOL("insecure-transport", struct ctl_flags, insecure_transport, .def = "true",
             .help = "disable transport security for client connections"),
    OPT_BOOL("insecure-skip-tls-verify", struct ctl_flags, insecure_skip_tls_verify,
             .help = "skip server certificate verification (for testing only)"),
    OPT_STR("user", struct ctl_flags, user, .arg = "NAME[:PASSWORD]",
            .help = "username for authentication (not supported yet)"),
    OPT_STR("password", struct ctl_flags, password,
            .help = "password for authentication (not supported yet)"),
    OPT_STR("discovery-srv", struct ctl_flags, discovery_srv, .letter = 'd', .arg = "DOMAIN",
            .help = "domain of SRV records describing endpoints (not supported yet)"),
    OPT_IGNORED("discovery-srv-name", .arg = "NAME",
                .help = "service name to query when using DNS discovery"),
    OPT_IGNORED("insecure-discovery", .help = "accept insecure SRV records"),
    OPT_STR("write-out", struct ctl_flags, write_out, .letter = 'w', .def = "simple",
            .arg = "FORMAT",
            .help = "set the output format (fields, json, protobuf, simple, table)"),
    OPT_BOOL("hex", struct ctl_flags, hex, .help = "print byte strings as hex encoded strings"),
    OPT_BOOL("debug", struct ctl_flags, debug, .help = "print the settings in use"),
    OPT_IGNORED("max-request-bytes", .arg = "N", .help = "accepted; the server's limit holds"),
    OPT_U64("max-recv-bytes", struct ctl_flags, recv_max, .unit = "bytes",
            .help = "largest answer accepted; 0: 2 GiB"),
    OPT_END};

static const struct command *const groups[GROUPS] = {
    commands_kv,       commands_txn,         commands_watch,  commands_lease, commands_lock,
    commands_endpoint, commands_maintenance, commands_member, commands_check, commands_misc};

const struct command *command_next(const struct command *at)
{
    size_t g = 0;

    if (!at)
        return groups[0];
    if (at[1].name)
        return at + 1;
    for (; g < GROUPS; g++)
        for (const struct command *c = groups[g]; c->name; c++)
            if (c == at)
                return g + 1 < GROUPS ? groups[g + 1] : NULL;
    return NULL;
}

/* How many of the words name the command: 0, 1 or 2. */
static int names(const struct command *c, int argc, char **argv)
{
    const char *space = strchr(c->name, ' ');
    size_t n = space ? (size_t)(space - c->name) : strlen(c->name);

    if (argc < 1 || strlen(argv[0]) != n || strncmp(argv[0], c->name, n) != 0)
        return 0;
    if (!space)
        return 1;
    return argc > 1 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static const struct command *find_command(int argc, char **argv, int *ret_words)
{
    for (const struct command *c = NULL; (c = command_next(c));) {
        *ret_words = names(c, argc, argv);
        if (*ret_words > 0)
            return c;
    }
    return NULL;
}

static bool is_group(const char *word)
{
    size_t n = strlen(word);

    for (const struct command *c = NULL; (c = command_next(c));)
        if (strncmp(c->name, word, n) == 0 && c->name[n] == ' ')
            return true;
    return false;
}

/* Says what might have been meant: among all first words, or the second words of a group. */
static int unknown_command(const char *group, const char *word)
{
    const char *known[128];
    char *owned[128];
    size_t n = 0;

    for (const struct command *c = NULL; (c = command_next(c)) && n < ARRAY_LEN(known) - 1;) {
        const char *space = strchr(c->name, ' ');
        if (group && (!space || strncmp(c->name, group, strlen(group)) != 0))
            continue;
        owned[n] = group ? xstrdup(space + 1)
                         : xasprintf("%.*s", space ? (int)(space - c->name) : 200, c->name);
        known[n] = owned[n];
        n++;
    }
    known[n] = NULL;
    const char *near = opt_did_you_mean(word, known);
    fprintf(stderr, "Error: unknown command \"%s\" for \"etcdctl%s%s\"\n", word, group ? " " : "",
            group ? group : "");
    if (near)
        fprintf(stderr, "\nDid you mean this?\n\t%s\n\n", near);
    fprintf(stderr, "Run 'etcdctl%s%s --help' for usage.\n", group ? " " : "", group ? group : "");
    while (n > 0)
        free(owned[--n]);
    return CTL_ERROR;
}

static int help(int argc, char **argv)
{
    int words;
    const struct command *c = find_command(argc, argv, &words);

    if (c)
        help_command(c, stdout);
    else if (argc > 0 && !is_group(argv[0]))
        return unknown_command(NULL, argv[0]);
    else
        help_group(argc > 0 ? argv[0] : NULL, stdout);
    return CTL_OK;
}

/* No command: a group alone shows its help, anything else is a mistake. */
static int no_command(int argc, char **argv, bool asked)
{
    if (argc == 0 || (asked && !is_group(argv[0]))) {
        help_group(NULL, stdout);
        return CTL_OK;
    }
    if (!is_group(argv[0]))
        return unknown_command(NULL, argv[0]);
    if (argc > 1 && argv[1][0] != '-')
        return unknown_command(argv[0], argv[1]);
    help_group(argv[0], stdout);
    return CTL_OK;
}

/*
 * Flags and environment of one command.
 */

struct invocation {
    const struct command *command;
    struct opt rows[ARRAY_LEN(ctl_global_rows) + COMMAND_ROWS_MAX];
    struct opt_set set;
    struct ctl_flags *flags; /* the command's struct */
    char **args;
    int nargs;
    bool help;
};

/* The command's own rows behind the global ones, in one table over one struct. */
static void make_rows(struct invocation *v)
{
    size_t n = ARRAY_LEN(ctl_global_rows) - 1;

    memcpy(v->rows, ctl_global_rows, n * sizeof *v->rows);
    for (const struct opt *row = v->command->rows; row && row->type != OPT_TYPE_END; row++) {
        assert(n + 1 < ARRAY_LEN(v->rows));
        v->rows[n++] = *row;
    }
    v->rows[n] = (struct opt)OPT_END;
}

/* Only global flags have variables: the rows of the command are left out of the set it is read
 * with. */
static int read_environment(struct invocation *v, struct err *e)
{
    struct opt_set set = v->set;

    set.rows = ctl_global_rows;
    int r = opt_parse_env(&set, environ, true, e);
    memcpy(v->set.source, set.source, ARRAY_LEN(ctl_global_rows) - 1);
    return r;
}

static void warn_unknown_variables(const struct opt_set *set)
{
    static const char *const known[] = {
        "ETCDCTL_API=", "ETCDCTL_WATCH_KEY=", "ETCDCTL_WATCH_RANGE_END="};
    struct opt_set globals = *set;
    const char *variable;
    size_t at = 0;

    globals.rows = ctl_global_rows;
    while ((variable = opt_env_unknown(&globals, environ, &at))) {
        bool fine = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            fine = fine || strncmp(variable, known[i], strlen(known[i])) == 0 ||
                   strncmp(variable, known[i], strlen(variable)) == 0;
        if (!fine)
            fprintf(stderr, "warning: unrecognized environment variable %s\n", variable);
    }
}

static int not_supported(const struct ctl_flags *f)
{
    const char *api = getenv("ETCDCTL_API");

    if (api && strcmp(api, "3") != 0)
        return ctl_error(CTL_BAD_FEATURE, "ETCDCTL_API=%s: only 3 is supported", api);
    if (f->user || f->password)
        return ctl_error(CTL_BAD_FEATURE, "authentication (--user) is not supported yet");
    if (f->discovery_srv)
        return ctl_error(CTL_BAD_FEATURE,
                         "DNS discovery (--discovery-srv) is not supported yet; give --endpoints");
    return CTL_OK;
}

static int run(struct invocation *v, char **exec)
{
    struct ctl ctl = {.flags = v->flags, .set = &v->set, .exec = exec};

    ctl.out = (struct out){.format = out_format_find(v->flags->write_out),
                           .f = stdout,
                           .side = stderr,
                           .hex = v->flags->hex};
    if (!ctl.out.format)
        return ctl_error(CTL_BAD_FEATURE, "unsupported output format");
    if (v->flags->debug)
        for (char **at = v->flags->endpoints; at && *at; at++)
            fprintf(stderr, "ETCDCTL_ENDPOINTS=%s\n", *at);
    int code = v->command->run(&ctl, v->flags, v->nargs, v->args);
    client_free(ctl.client);
    if (fflush(stdout) != 0 && code == CTL_OK)
        code = ctl_error(CTL_IO, "write the output: %s", strerror(errno));
    return code;
}

/* argv: the program's name and everything but the words of the command's name. */
static int invoke(const struct command *c, int argc, char **argv)
{
    struct invocation v = {.command = c};
    int behind = argc;
    char **exec = NULL;
    struct err e;
    int code;

    for (int i = 1; i < argc && !exec; i++)
        if (strcmp(argv[i], "--") == 0) {
            exec = argv + i + 1;
            behind = i;
        }
    make_rows(&v);
    v.flags = xcalloc(1, MAX(c->flags_size, sizeof *v.flags));
    v.args = xcalloc((size_t)argc + 1, sizeof *v.args);
    opt_init(&v.set, v.rows, v.flags, "ETCDCTL_");
    int r = opt_parse_args(&v.set, argc, argv, false, v.args, &v.nargs, &v.help, &e);
    assert(r < 0 || v.nargs >= argc - behind - 1);
    if (r == 0 && !v.help)
        r = read_environment(&v, &e);
    if (r < 0) {
        code = ctl_error(CTL_ERROR, "%s\nRun 'etcdctl %s --help' for usage.", e.msg, c->name);
    } else if (v.help) {
        help_command(c, stdout);
        code = CTL_OK;
    } else {
        warn_unknown_variables(&v.set);
        code = not_supported(v.flags);
        if (code == CTL_OK)
            code = run(&v, exec);
    }
    opt_free(&v.set);
    free(v.flags);
    free(v.args);
    return code;
}

int main(int argc, char **argv)
{
    struct ctl_flags scratch = {0};
    struct opt_set globals;
    struct err e;
    cleanup_free char **words = xcalloc((size_t)argc + 1, sizeof *words);
    int nwords = 0, used = 0;
    bool asked = false;

    /* Flags may stand in front of the command: skip them to find it, read them for good later. */
    opt_init(&globals, ctl_global_rows, &scratch, NULL);
    int r = opt_parse_args(&globals, argc, argv, true, words, &nwords, &asked, &e);
    opt_free(&globals);
    if (r < 0)
        return ctl_error(CTL_ERROR, "%s\nRun 'etcdctl --help' for usage.", e.msg);
    if (nwords > 0 && strcmp(words[0], "help") == 0)
        return help(nwords - 1, words + 1);
    const struct command *c = find_command(nwords, words, &used);
    if (!c)
        return no_command(nwords, words, asked);
    int at = argc - nwords;
    memmove(argv + at, argv + at + used, (size_t)(argc - at - used) * sizeof *argv);
    argv[argc - used] = NULL;
    return invoke(c, argc - used, argv);
}
