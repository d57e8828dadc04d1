#include "etcdctl/child.h"

#include "base/util.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* In the child. Its stdin is empty: ours may be the lines of watch -i. The pipe tells the parent
 * why exec failed; exec closes it. */
static void become(char *const *argv, const char *const *extra, int tell)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    for (; *extra; extra++)
        putenv((char *)(uintptr_t)*extra);
    execvp(argv[0], argv);
    int failure = errno;
    ssize_t n = write(tell, &failure, sizeof failure);
    _exit(n == sizeof failure ? 127 : 126);
}

int child_start(char *const *argv, const char *const *extra, pid_t *ret_pid, struct err *e)
{
    int ends[2], failure = 0;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(e, -errno, "pipe");
    cleanup_close int listen_end = ends[0];
    cleanup_close int tell_end = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, -errno, "fork");
    if (pid == 0)
        become(argv, extra, tell_end);
    close(take_fd(&tell_end));
    ssize_t n;
    do
        n = read(listen_end, &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n == sizeof failure) {
        child_wait(pid);
        return err_set(e, -failure, "exec: \"%s\"", argv[0]);
    }
    *ret_pid = pid;
    return 0;
}

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int child_wait(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 127;
    return exit_code(status);
}
