#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "etcd/log_writer.h"

/* A log in a temporary directory and a writer on a loop of its own. */
struct fixture {
    char dir[64], path[80];
    uv_loop_t loop;
    struct wal *wal;
    struct log_writer *writer;
    struct buf frame;
    struct log_job job;
    uint64_t index;
    unsigned done;
};

static int keep_none(void *ctx, const struct raft_entry *entry)
{
    ++*(uint64_t *)ctx;
    return 0;
}

static void open_wal(struct fixture *f, uint64_t *entries)
{
    struct wal_recovered rec;

    assert_int_equal(wal_open(f->path, 0, keep_none, entries, &rec, &f->wal, NULL), 0);
}

static void on_done(void *ctx, struct log_job *job)
{
    struct fixture *f = ctx;

    assert_ptr_equal(job, &f->job);
    assert_false(log_writer_busy(f->writer));
    f->done++;
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    uint64_t none = 0;

    snprintf(f->dir, sizeof f->dir, "/tmp/test_log_writer.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/wal", f->dir);
    assert_int_equal(wal_create(f->path, &(struct wal_meta){1, 2}, NULL), 0);
    open_wal(f, &none);
    uv_loop_init(&f->loop);
    assert_int_equal(log_writer_new(&f->loop, f->wal, on_done, f, &f->writer, NULL), 0);
    buf_init(&f->frame, WAL_FRAME_BYTES_MAX);
    *state = f;
    return 0;
}

static void close_all(struct fixture *f)
{
    log_writer_close(take_ptr(&f->writer));
    uv_run(&f->loop, UV_RUN_DEFAULT);
    wal_close(take_ptr(&f->wal));
}

static void remove_dir(const char *path)
{
    DIR *d = opendir(path);

    for (struct dirent *entry; (entry = readdir(d));)
        unlinkat(dirfd(d), entry->d_name, 0);
    closedir(d);
    rmdir(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close_all(f);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    buf_deinit(&f->frame);
    remove_dir(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static struct log_job *next_job(struct fixture *f)
{
    struct raft_entry entry = {.term = 1, .index = ++f->index, .data = SLICE_LIT("entry")};
    struct raft_hard_state hs = {.term = 1, .vote = 2};

    buf_clear(&f->frame);
    wal_frame_begin(&f->frame);
    assert_int_equal(wal_frame_hard_state(&f->frame, &hs), 0);
    assert_int_equal(wal_frame_entry(&f->frame, &entry), 0);
    f->job = (struct log_job){.frame = &f->frame, .last_index = f->index};
    return &f->job;
}

static void wait_done(struct fixture *f, unsigned n)
{
    while (f->done < n)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static void what_is_submitted_is_written_and_reported_once(void **state)
{
    struct fixture *f = *state;
    uint64_t entries = 0;

    for (unsigned i = 1; i <= 20; i++) {
        log_writer_submit(f->writer, next_job(f));
        assert_true(log_writer_busy(f->writer));
        wait_done(f, i);
        assert_int_equal(f->job.result, 0);
        assert_true(f->job.duration_ns > 0);
    }
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->done, 20);
    close_all(f);
    open_wal(f, &entries);
    assert_int_equal(entries, 20);
}

static void inline_and_submitted_jobs_take_turns(void **state)
{
    struct fixture *f = *state;

    log_writer_inline(f->writer, next_job(f));
    assert_int_equal(f->job.result, 0);
    assert_int_equal(f->done, 0);
    log_writer_submit(f->writer, next_job(f));
    wait_done(f, 1);
    log_writer_inline(f->writer, next_job(f));
    assert_int_equal(f->job.result, 0);
    assert_int_equal(f->done, 1);
}

static void a_refused_frame_is_reported_with_its_reason(void **state)
{
    struct fixture *f = *state;

    next_job(f);
    f->job.last_index = 7; /* not that of its entry */
    log_writer_submit(f->writer, &f->job);
    wait_done(f, 1);
    assert_int_equal(f->job.result, -EINVAL);
    assert_true(f->job.err.msg[0]);
}

static void closing_finishes_the_job_and_reports_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t entries = 0;

    log_writer_submit(f->writer, next_job(f));
    close_all(f);
    assert_int_equal(f->done, 0);
    open_wal(f, &entries);
    assert_int_equal(entries, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_submitted_is_written_and_reported_once),
        T(inline_and_submitted_jobs_take_turns),
        T(a_refused_frame_is_reported_with_its_reason),
        T(closing_finishes_the_job_and_reports_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
