/*
 * up: brings the services of a node up and keeps them so, in the foreground, until SIGINT or
 * SIGTERM.
 */
#ifndef STEAD_UP_H
#define STEAD_UP_H

#include "base/err.h"

/* The command: argv[0] is "up". The process's exit status (0 after a clean stop), or negative. */
int up_main(int argc, char **argv, struct err *e);

#endif
