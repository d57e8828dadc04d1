#include "etcdctl/ctl.h"

static bool in_group(const struct command *c, const char *group)
{
    size_t n = strlen(group);

    return strncmp(c->name, group, n) == 0 && c->name[n] == ' ';
}

static void global_options(FILE *f)
{
    fputs("\nGLOBAL OPTIONS:\n", f);
    opt_print_help(ctl_global_rows, f);
    fputs("\nEach global option can also be set by the environment: ETCDCTL_ENDPOINTS, "
          "ETCDCTL_WRITE_OUT ...\n",
          f);
}

void help_command(const struct command *c, FILE *f)
{
    fprintf(f, "NAME:\n\t%s - %s\n\nUSAGE:\n\tetcdctl %s%s%s%s\n", c->name, c->summary, c->name,
            c->rows ? " [options]" : "", *c->args ? " " : "", c->args);
    if (c->text) {
        fputs("\nDESCRIPTION:\n\t", f);
        for (const char *s = c->text; *s; s++) {
            fputc(*s, f);
            if (*s == '\n')
                fputc('\t', f);
        }
        fputc('\n', f);
    }
    if (c->rows) {
        fputs("\nOPTIONS:\n", f);
        opt_print_help(c->rows, f);
    }
    global_options(f);
}

void help_group(const char *group, FILE *f)
{
    if (group)
        fprintf(f, "NAME:\n\t%s\n\nUSAGE:\n\tetcdctl %s <subcommand>\n", group, group);
    else
        fputs("NAME:\n\tetcdctl - A simple command line client for etcd3.\n\n"
              "USAGE:\n\tetcdctl [options] <command> [arguments]\n\n"
              "VERSION:\n\t" CTL_VERSION " (stead " STEAD_VERSION
              ")\n\nAPI VERSION:\n\t" CTL_API_VERSION "\n",
              f);
    fputs("\nCOMMANDS:\n", f);
    for (const struct command *c = NULL; (c = command_next(c));)
        if (!group || in_group(c, group))
            fprintf(f, "\t%-20s %s\n", c->name, c->summary);
    if (!group)
        fputs("\nEXAMPLES:\n"
              "\tetcdctl put greeting \"hello, etcd\"\n"
              "\tetcdctl get greeting -w json\n"
              "\tetcdctl watch --prefix /registry/ -- ./reload.sh\n"
              "\tetcdctl get --help\n",
              f);
    global_options(f);
}
