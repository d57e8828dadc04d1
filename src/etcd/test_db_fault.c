#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "etcd/db_fault.h"

#define MAP_BYTES (1u << 20) /* of a file of one page */

/* A child that touches at(map): what it says and how it ends. */
static int child(size_t offset, bool inside, char *said, size_t size)
{
    int out[2], status;
    char path[] = "/tmp/test_db_fault.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0 && ftruncate(fd, 4096) == 0 && pipe(out) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        volatile char *map = mmap(NULL, MAP_BYTES, PROT_READ, MAP_SHARED, fd, 0);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        dup2(out[1], STDERR_FILENO);
        db_fault_install();
        db_fault_watch("/the/store", fd);
        (void)(inside ? map[offset] : *(volatile char *)offset);
        _exit(0);
    }
    close(out[1]);
    ssize_t n = read(out[0], said, size - 1);
    said[n > 0 ? n : 0] = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(out[0]);
    close(fd);
    unlink(path);
    return status;
}

static void a_fault_in_the_mapping_is_said(void **state)
{
    char said[1024];
    int status = child(MAP_BYTES / 2, true, said, sizeof said);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), DB_FAULT_EXIT);
    assert_non_null(strstr(said, "engine detected damage in '/the/store'"));
    assert_non_null(strstr(said, "restore"));
}

static void reading_the_file_is_no_fault(void **state)
{
    char said[1024];

    assert_int_equal(child(100, true, said, sizeof said), 0);
    assert_string_equal(said, "");
}

static void any_other_fault_takes_its_course(void **state)
{
    char said[1024];
    int status = child(64, false, said, sizeof said);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_in_the_mapping_is_said),
        cmocka_unit_test(reading_the_file_is_no_fault),
        cmocka_unit_test(any_other_fault_takes_its_course),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
