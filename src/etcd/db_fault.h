/*
 * db_fault: what a damaged page does to the process is said. LMDB maps the file and trusts it, so a
 * wrong page number or length can lead a read out of the file: SIGBUS or SIGSEGV in the middle of
 * the engine. With the handler set, a fault inside the mapping writes one line that names the file
 * and ends the process; any other fault takes its usual course.
 */
#ifndef ETCD_DB_FAULT_H
#define ETCD_DB_FAULT_H

#include "base/util.h"

#define DB_FAULT_EXIT 7 /* exit status after a fault inside the mapping */

/* Sets the handlers; for programs, once, before threads are started. */
void db_fault_install(void);
/* The mapping of the open database: found by the file behind fd. One at a time. */
void db_fault_watch(const char *path, int fd);
void db_fault_forget(void);

#endif
