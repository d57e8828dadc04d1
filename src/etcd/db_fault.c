#include "etcd/db_fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MESSAGE_MAX 4608 /* a path, and what is said around it */

/* Read by the handler in any thread; written while no other thread uses the engine. */
static atomic_uintptr_t map_begin, map_end;
static char message[MESSAGE_MAX];
static size_t message_bytes;
static struct sigaction before_bus, before_segv;

static void on_fault(int number, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr;

    if (info->si_code > 0 && at >= atomic_load(&map_begin) && at < atomic_load(&map_end)) {
        ssize_t n = write(STDERR_FILENO, message, message_bytes);
        (void)n; /* nobody left to tell */
        _exit(DB_FAULT_EXIT);
    }
    /* Not ours: the instruction runs again under the action that stood before. */
    sigaction(number, number == SIGBUS ? &before_bus : &before_segv, NULL);
    if (info->si_code <= 0)
        raise(number); /* sent, not met: it would not come again */
}

void db_fault_install(void)
{
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, &before_bus);
    sigaction(SIGSEGV, &a, &before_segv);
}

/* One line of /proc/self/maps: whether it maps the file, and where. */
static bool is_mapping(const char *line, const struct stat *st, uintptr_t *begin, uintptr_t *end)
{
    unsigned long from, to, inode;
    unsigned dev_major, dev_minor;

    if (sscanf(line, "%lx-%lx %*s %*x %x:%x %lu", &from, &to, &dev_major, &dev_minor, &inode) != 5)
        return false;
    *begin = from;
    *end = to;
    /* Some file systems give other device numbers here than stat does: the inode decides. */
    return inode == st->st_ino;
}

void db_fault_watch(const char *path, int fd)
{
    char line[MESSAGE_MAX];
    uintptr_t begin, end;
    struct stat st;
    FILE *f = fopen("/proc/self/maps", "re");

    db_fault_forget();
    int n = snprintf(message, sizeof message,
                     "engine detected damage in '%s': a page leads outside of the file; stopped "
                     "before anything was made worse; check it with etcdutl check and restore "
                     "the data from a snapshot or backup\n",
                     path);
    message_bytes = MIN((size_t)MAX(n, 0), sizeof message - 1);
    if (f && fstat(fd, &st) == 0)
        while (fgets(line, sizeof line, f))
            if (is_mapping(line, &st, &begin, &end)) {
                atomic_store(&map_begin, begin);
                atomic_store(&map_end, end);
                break;
            }
    if (f)
        fclose(f);
}

void db_fault_forget(void)
{
    atomic_store(&map_end, 0);
}
