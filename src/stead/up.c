#include "stead/up.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/opt.h"
#include "stead/service.h"
#include "stead/tool.h"

#define ARGS_MAX      24    /* words of one service's command line */
#define PROBE_MS      20    /* between looks whether a starting service listens */
#define STOP_GRACE_MS 10000 /* from SIGTERM to SIGKILL */

struct up_conf {
    char *dir;
    char *client_url, *peer_url;
    char *log_level;
    char *cluster; /* made from peer_url: the one member there is */
};

static const struct opt up_opts[] = {
    OPT_STR("dir", struct up_conf, dir, .arg = "DIR",
            .help = "where the services keep their data (default /var/lib/stead for root, else "
                    "~/.local/share/stead)"),
    OPT_STR("client-url", struct up_conf, client_url, .def = "http://127.0.0.1:2379", .arg = "URL",
            .help = "where etcd serves its clients"),
    OPT_STR("peer-url", struct up_conf, peer_url, .def = "http://127.0.0.1:2380", .arg = "URL",
            .help = "the name etcd's member goes by among members"),
    OPT_STR("log-level", struct up_conf, log_level, .def = "warn",
            .help = "what the services log: debug, info, warn, error"),
    OPT_END};

/* A row of the service table: what to run and what to tell. */
struct service_row {
    const char *program;
    void (*command)(const struct up_conf *c, const char *data_dir, const char *args[ARGS_MAX]);
    const char *(*url)(const struct up_conf *c); /* it listens there once it is up */
    const char *what, *try_this;
};

static void etcd_command(const struct up_conf *c, const char *data_dir, const char *args[ARGS_MAX])
{
    const char *const words[] = {"etcd",        "--data-dir",
                                 data_dir,      "--listen-client-urls",
                                 c->client_url, "--advertise-client-urls",
                                 c->client_url, "--listen-peer-urls",
                                 c->peer_url,   "--initial-advertise-peer-urls",
                                 c->peer_url,   "--initial-cluster",
                                 c->cluster,    "--log-level",
                                 c->log_level,  NULL};

    static_assert(ARRAY_LEN(words) <= ARGS_MAX, "room for every word");
    memcpy(args, words, sizeof(words));
}

static const char *etcd_url(const struct up_conf *c)
{
    return c->client_url;
}

static const struct service_row rows[] = {
    {"etcd", etcd_command, etcd_url, "the key-value store, for any etcd v3 client",
     "stead etcdctl --endpoints=%s put greeting hello"},
};

#define SERVICES ARRAY_LEN(rows)

struct up {
    struct up_conf conf;
    struct service services[SERVICES];
    char *paths[SERVICES];     /* of the programs */
    char *data_dirs[SERVICES]; /* one per service below conf.dir */
    sigset_t old_mask;         /* what children get back */
    int signal_fd;
    bool stopping;
    uint64_t kill_at_ms; /* while stopping */
};

static uint64_t now_ms(void)
{
    return clock_mono_ns(&clock_system) / NS_PER_MS;
}

/* ---- the data directories ---- */

static int default_dir(char **ret, struct err *e)
{
    const char *home = getenv("HOME");

    if (geteuid() != 0 && (!home || !*home))
        return err_set(e, ERR_USAGE, "--dir is needed: HOME is not set");
    *ret = geteuid() == 0 ? xstrdup("/var/lib/stead") : xasprintf("%s/.local/share/stead", home);
    return 0;
}

/* mkdir -p, private to us. */
static int make_dirs(const char *path, struct err *e)
{
    cleanup_free char *p = xstrdup(path);

    for (char *c = p + 1; *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        if (mkdir(p, 0700) < 0 && errno != EEXIST)
            return err_set(e, -errno, "make directory '%s'", p);
        *c = '/';
    }
    if (mkdir(p, 0700) < 0 && errno != EEXIST)
        return err_set(e, -errno, "make directory '%s'", p);
    return 0;
}

/* ---- one service ---- */

/* In the child, between fork and exec. */
static void become(struct up *u, size_t i)
{
    const char *args[ARGS_MAX];
    int null = open("/dev/null", O_RDONLY);

    prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody would restart it, nobody would know */
    setpgid(0, 0);                    /* Ctrl-C is ours to pass on */
    sigprocmask(SIG_SETMASK, &u->old_mask, NULL);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    rows[i].command(&u->conf, u->data_dirs[i], args);
    execv(u->paths[i], (char **)(uintptr_t)args);
    fprintf(stderr, "stead: run %s: %s\n", u->paths[i], strerror(errno));
    _exit(127);
}

static void start_service(struct up *u, size_t i)
{
    pid_t pid = fork();

    if (pid == 0)
        become(u, i);
    if (pid > 0) {
        service_on_started(&u->services[i], pid);
        return;
    }
    fprintf(stderr, "stead: cannot start %s: %s\n", rows[i].program, strerror(errno));
    service_on_ended(&u->services[i], now_ms());
}

/* "http://127.0.0.1:2379" to host and port, both inside copy. */
static bool split_url(char *copy, char **ret_host, char **ret_port)
{
    char *host = strstr(copy, "://");

    host = host ? host + 3 : copy;
    char *port = strrchr(host, ':');
    if (!port)
        return false;
    *port++ = '\0';
    if (*host == '[' && port[-2] == ']') { /* [::1] */
        host++;
        port[-2] = '\0';
    }
    *ret_host = host;
    *ret_port = port;
    return true;
}

static bool accepts_connections(const char *url)
{
    cleanup_free char *copy = xstrdup(url);
    char *host, *port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    bool good = false;

    if (!split_url(copy, &host, &port) || getaddrinfo(host, port, &hints, &list) != 0)
        return false;
    for (struct addrinfo *a = list; a && !good; a = a->ai_next) {
        cleanup_close int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        good = fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0;
    }
    freeaddrinfo(list);
    return good;
}

static void tell_about(const struct up *u, size_t i)
{
    const char *url = rows[i].url(&u->conf);

    printf("%s  %s\n    %s\n    data  %s\n    try   ", rows[i].program, url, rows[i].what,
           u->data_dirs[i]);
    const char *place = strstr(rows[i].try_this, "%s");
    printf("%.*s%s%s\n", (int)(place - rows[i].try_this), rows[i].try_this, url, place + 2);
    fflush(stdout);
}

static void probe_service(struct up *u, size_t i)
{
    if (u->services[i].state != SERVICE_STARTING || !accepts_connections(rows[i].url(&u->conf)))
        return;
    service_on_listening(&u->services[i], now_ms());
    tell_about(u, i);
}

/* ---- events ---- */

static void tell_end(const struct up *u, const struct service *s, int status)
{
    if (u->stopping)
        return;
    if (WIFSIGNALED(status))
        fprintf(stderr, "stead: %s was ended by signal %d (%s)", s->name, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else
        fprintf(stderr, "stead: %s ended with exit status %d", s->name, WEXITSTATUS(status));
    if (s->state == SERVICE_FAILED)
        fprintf(stderr, "; it never came up in %d tries, its own messages say why\n",
                SERVICE_TRIES_MAX);
    else
        fprintf(stderr, "; starting it again in %" PRIu64 " ms\n", service_wait_ms(s, now_ms()));
}

static void reap(struct up *u)
{
    for (size_t i = 0; i < SERVICES; i++) {
        struct service *s = &u->services[i];
        int status;
        if (!service_runs(s) || waitpid(s->pid, &status, WNOHANG) != s->pid)
            continue;
        service_on_ended(s, now_ms());
        tell_end(u, s, status);
    }
}

static void signal_services(struct up *u, int sig)
{
    for (size_t i = 0; i < SERVICES; i++) {
        if (service_runs(&u->services[i]))
            kill(u->services[i].pid, sig);
    }
}

static void stop_all(struct up *u)
{
    if (u->stopping)
        return;
    puts("stopping");
    fflush(stdout);
    u->stopping = true;
    u->kill_at_ms = now_ms() + STOP_GRACE_MS;
    for (size_t i = 0; i < SERVICES; i++)
        service_stop(&u->services[i]);
    signal_services(u, SIGTERM);
}

static void handle_signals(struct up *u)
{
    struct signalfd_siginfo info;

    while (read(u->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(u);
        else
            stop_all(u);
    }
}

/* How long nothing is to be done unless a signal comes. */
static int wait_ms(const struct up *u)
{
    uint64_t now = now_ms(), wait = 60000;

    for (size_t i = 0; i < SERVICES; i++) {
        wait = MIN(wait, service_wait_ms(&u->services[i], now));
        if (u->services[i].state == SERVICE_STARTING)
            wait = MIN(wait, (uint64_t)PROBE_MS);
    }
    if (u->stopping)
        wait = MIN(wait, u->kill_at_ms > now ? u->kill_at_ms - now : PROBE_MS);
    return (int)wait;
}

static size_t count_in(const struct up *u, enum service_state state)
{
    size_t n = 0;

    for (size_t i = 0; i < SERVICES; i++)
        n += u->services[i].state == state;
    return n;
}

/* Serves until all is stopped; the exit status. */
static int run(struct up *u)
{
    while (count_in(u, SERVICE_STOPPED) + count_in(u, SERVICE_FAILED) < SERVICES) {
        for (size_t i = 0; i < SERVICES; i++) {
            if (service_is_due(&u->services[i], now_ms()))
                start_service(u, i);
            probe_service(u, i);
        }
        struct pollfd in = {.fd = u->signal_fd, .events = POLLIN};
        if (poll(&in, 1, wait_ms(u)) > 0)
            handle_signals(u);
        if (count_in(u, SERVICE_FAILED) > 0)
            stop_all(u);
        if (u->stopping && now_ms() >= u->kill_at_ms)
            signal_services(u, SIGKILL);
    }
    return count_in(u, SERVICE_FAILED) > 0 ? 1 : 0;
}

/* ---- the command ---- */

static int prepare(struct up *u, struct err *e)
{
    sigset_t mask;
    int r = 0;

    if (!u->conf.dir || !*u->conf.dir) {
        free(u->conf.dir);
        u->conf.dir = NULL;
        r = default_dir(&u->conf.dir, e);
    }
    u->conf.cluster = xasprintf("default=%s", u->conf.peer_url);
    for (size_t i = 0; r == 0 && i < SERVICES; i++) {
        r = tool_find(rows[i].program, &u->paths[i], e);
        u->data_dirs[i] = xasprintf("%s/%s", u->conf.dir ? u->conf.dir : "", rows[i].program);
        if (r == 0)
            r = make_dirs(u->data_dirs[i], e);
        service_init(&u->services[i], rows[i].program, now_ms());
    }
    if (r < 0)
        return r;
    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, &u->old_mask);
    u->signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    return u->signal_fd < 0 ? err_set(e, -errno, "signalfd") : 0;
}

static void usage(void)
{
    puts("usage: stead up [--dir DIR]\n\n"
         "Brings the services of this node up in the foreground, says where they listen, restarts\n"
         "what dies, and stops cleanly on Ctrl-C.\n");
    opt_print_help(up_opts, stdout);
}

static int parse(struct opt_set *set, int argc, char **argv, bool *ret_help, struct err *e)
{
    cleanup_free char **words = xcalloc((size_t)argc + 1, sizeof(char *));
    int nwords = 0;
    int r = opt_parse_args(set, argc, argv, false, words, &nwords, ret_help, e);

    if (r == 0 && !*ret_help && nwords > 0)
        return err_set(e, ERR_USAGE, "stead up takes no argument, '%s' was given", words[0]);
    return r;
}

int up_main(int argc, char **argv, struct err *e)
{
    struct up u = {.signal_fd = -1};
    struct opt_set set;
    bool help = false;

    opt_init(&set, up_opts, &u.conf, NULL);
    int r = parse(&set, argc, argv, &help, e);
    if (r == 0 && help)
        usage();
    else if (r == 0 && (r = prepare(&u, e)) == 0)
        r = run(&u);
    for (size_t i = 0; i < SERVICES; i++) {
        free(u.paths[i]);
        free(u.data_dirs[i]);
    }
    free(u.conf.cluster);
    if (u.signal_fd >= 0)
        close(u.signal_fd);
    opt_free(&set);
    return r;
}
