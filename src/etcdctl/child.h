/*
 * child: runs the command behind watch and lock, with variables added to its environment.
 */
#ifndef ETCDCTL_CHILD_H
#define ETCDCTL_CHILD_H

#include "base/err.h"

#include <sys/types.h>

/* argv ends with NULL; extra: "NAME=value" strings, ends with NULL. Signals the caller has blocked
 * are unblocked in the child; its stdin is empty. 0, or negative with the reason ("exec: ...": no
 * such program). */
int child_start(char *const *argv, const char *const *extra, pid_t *ret_pid, struct err *e);
/* Waits; the exit code, or 128 + signal. */
int child_wait(pid_t pid);

#endif
