/*
 * tool: the programs that belong to stead, found beside the running one: in its own folder (a build
 * directory) or in ../libexec/stead/bin (installed).
 */
#ifndef STEAD_TOOL_H
#define STEAD_TOOL_H

#include "base/err.h"

struct tool {
    const char *name;
    const char *help;
};

/* All there are, in the order of --help; ends with name NULL. */
extern const struct tool tools[];

/* The full path of a program of ours, owned by the caller; ERR_CONFIG when it is not installed. */
int tool_find(const char *name, char **ret_path, struct err *e);
/* Becomes that tool. argv[0] is its name. Returns only on failure: ERR_USAGE for an unknown name
 * (with the nearest one), ERR_CONFIG, or a negated errno. */
int tool_exec(char **argv, struct err *e);

#endif
