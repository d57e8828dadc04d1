#include "etcdctl/ctl.h"

/* version, completion, and the commands that are known but not there yet. */

static int run_version(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    fputs("etcdctl version: " CTL_VERSION "\nAPI version: " CTL_API_VERSION "\n", stdout);
    return CTL_OK;
}

static int run_unsupported(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    return ctl_error(CTL_BAD_FEATURE, "auth, user and role are not supported yet");
}

static void print_flags(const struct opt *rows)
{
    for (const struct opt *row = rows; row && row->type != OPT_TYPE_END; row++)
        printf(" --%s", row->name);
}

/* The first words of all commands, each once: tables keep a group's commands together. */
static void print_first_words(void)
{
    const char *last = "";

    for (const struct command *c = NULL; (c = command_next(c));) {
        size_t n = strcspn(c->name, " ");
        if (strncmp(c->name, last, n) != 0 || (last[n] && last[n] != ' ') || !*last)
            printf(" %.*s", (int)n, c->name);
        last = c->name;
    }
}

static int run_completion_bash(struct ctl *ctl, const struct ctl_flags *flags, int argc,
                               char **argv)
{
    fputs("# bash completion for etcdctl: source it, or put it into\n"
          "# /usr/share/bash-completion/completions/etcdctl\n"
          "_etcdctl()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} one= two= w words= flags=\n"
          "    for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
          "        case $w in -*) ;; *) if [ -z \"$one\" ]; then one=$w; "
          "elif [ -z \"$two\" ]; then two=$w; fi ;; esac\n"
          "    done\n"
          "    flags=\"",
          stdout);
    print_flags(ctl_global_rows);
    fputs("\"\n    case \"$one $two\" in\n", stdout);
    for (const struct command *c = NULL; (c = command_next(c));) {
        if (!c->rows)
            continue;
        printf("        \"%s\"%s) flags=\"$flags", c->name, strchr(c->name, ' ') ? "" : "\\ *");
        print_flags(c->rows);
        fputs("\" ;;\n", stdout);
    }
    fputs("    esac\n    if [ -z \"$one\" ]; then\n        words=\"", stdout);
    print_first_words();
    fputs(" help\"\n    elif [ -z \"$two\" ]; then\n", stdout);
    fputs("        for w in", stdout);
    for (const struct command *c = NULL; (c = command_next(c));) {
        const char *space = strchr(c->name, ' ');
        if (space)
            printf(" %.*s:%s", (int)(space - c->name), c->name, space + 1);
    }
    fputs("; do\n            [ \"${w%%:*}\" = \"$one\" ] && words=\"$words ${w#*:}\"\n"
          "        done\n    fi\n"
          "    case $cur in -*) words=$flags ;; esac\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "}\ncomplete -o default -F _etcdctl etcdctl\n",
          stdout);
    return CTL_OK;
}

#define UNSUPPORTED(name)                                                                          \
    {                                                                                              \
        name, "", "(not supported yet)", NULL, NULL, 0, run_unsupported                            \
    }
const struct command commands_misc[] = {
    {"version", "", "Prints the version of etcdctl", NULL, NULL, 0, run_version},
    {"completion bash", "", "Generate the autocompletion script for bash",
     "$ source <(etcdctl completion bash)\n", NULL, 0, run_completion_bash},
    UNSUPPORTED("auth enable"),
    UNSUPPORTED("auth disable"),
    UNSUPPORTED("auth status"),
    UNSUPPORTED("user add"),
    UNSUPPORTED("user delete"),
    UNSUPPORTED("user get"),
    UNSUPPORTED("user list"),
    UNSUPPORTED("user passwd"),
    UNSUPPORTED("user grant-role"),
    UNSUPPORTED("user revoke-role"),
    UNSUPPORTED("role add"),
    UNSUPPORTED("role delete"),
    UNSUPPORTED("role get"),
    UNSUPPORTED("role list"),
    UNSUPPORTED("role grant-permission"),
    UNSUPPORTED("role revoke-permission"),
    {.name = NULL}};
