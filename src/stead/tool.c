#include "stead/tool.h"

#include <limits.h>

#include "base/opt.h"

const struct tool tools[] = {
    {"etcd", "the key-value store (etcd v3)"},
    {"etcdctl", "its command-line client"},
    {"etcdutl", "offline work on its files"},
    {NULL, NULL},
};

/* The folder of the running program, with a trailing slash. */
static int own_dir(char dir[PATH_MAX], struct err *e)
{
    ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);

    if (n < 0)
        return err_set(e, -errno, "find my own folder");
    dir[n] = '\0';
    *(strrchr(dir, '/') + 1) = '\0';
    return 0;
}

int tool_find(const char *name, char **ret_path, struct err *e)
{
    static const char *const places[] = {"", "../libexec/stead/bin/"};
    char dir[PATH_MAX];
    int r = own_dir(dir, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        cleanup_free char *path = xasprintf("%s%s%s", dir, places[i], name);
        if (access(path, X_OK) == 0) {
            *ret_path = take_ptr(&path);
            return 0;
        }
    }
    return err_set(e, ERR_CONFIG, "'%s' is neither in %s nor in %s%s", name, dir, dir, places[1]);
}

static int check_name(const char *name, struct err *e)
{
    const char *names[16] = {"up", "demo"};
    size_t n = 2;

    for (const struct tool *t = tools; t->name; t++) {
        if (strcmp(t->name, name) == 0)
            return 0;
        assert(n + 1 < ARRAY_LEN(names));
        names[n++] = t->name;
    }
    const char *near = opt_did_you_mean(name, names);
    return err_set(e, ERR_USAGE, "unknown command '%s'%s%s%s; stead --help lists them", name,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

int tool_exec(char **argv, struct err *e)
{
    cleanup_free char *path = NULL;
    int r = strcmp(argv[0], "stead-demo") == 0 ? 0 : check_name(argv[0], e);

    if (r == 0)
        r = tool_find(argv[0], &path, e);
    if (r < 0)
        return r;
    execv(path, argv);
    return err_set(e, -errno, "run %s", path);
}
