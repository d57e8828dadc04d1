/*
 * stead: the front door. `stead up` brings a node's services up, `stead demo` shows what the store
 * does, `stead TOOL ...` becomes the tool of that name.
 */
#include "stead/tool.h"
#include "stead/up.h"

static void usage(FILE *out)
{
    fputs("usage: stead COMMAND [ARGUMENT]...\n\n"
          "  up [--dir DIR]  bring this node's services up, in the foreground\n"
          "  demo            watch the store do its job: two minutes, leaves nothing behind\n\n"
          "tools:\n",
          out);
    for (const struct tool *t = tools; t->name; t++)
        fprintf(out, "  %-14s  %s\n", t->name, t->help);
    fputs("\nEach command and tool has its own --help.\n\n"
          "examples:\n"
          "  stead up --dir /srv/stead\n"
          "  stead etcdctl put greeting hello\n"
          "  stead etcdctl get --prefix \"\"\n\n"
          "exit status: 0 good; 1 a service failed; 3 wrong arguments; else the tool's own\n",
          out);
}

static int dispatch(int argc, char **argv, struct err *e)
{
    const char *command = argv[1];

    if (strcmp(command, "up") == 0)
        return up_main(argc - 1, argv + 1, e);
    if (strcmp(command, "demo") == 0) {
        static char demo[] = "stead-demo";
        argv[1] = demo;
    }
    return tool_exec(argv + 1, e);
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

int main(int argc, char **argv)
{
    struct err e = {0};

    if (argc < 2) {
        usage(stderr);
        return err_exit(ERR_USAGE);
    }
    if (is_one_of(argv[1], "help", "--help", "-h")) {
        usage(stdout);
        return 0;
    }
    if (is_one_of(argv[1], "version", "--version", "-V")) {
        puts("stead " STEAD_VERSION);
        return 0;
    }
    int r = dispatch(argc, argv, &e);
    if (r < 0) {
        fprintf(stderr, "stead: %s\n", e.msg);
        return err_exit(r);
    }
    return r;
}
