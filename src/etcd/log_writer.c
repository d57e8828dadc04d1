#include "etcd/log_writer.h"

#include "base/clock.h"

struct log_writer {
    struct wal *wal;
    void (*done)(void *ctx, struct log_job *job);
    void *ctx;
    uv_thread_t thread;
    uv_mutex_t lock; /* guards job, finished, stop */
    uv_cond_t wake;
    uv_async_t finished_async;
    struct log_job *job;      /* waiting for or being worked on by the thread */
    struct log_job *finished; /* to be reported on the loop */
    bool stop;
    bool busy; /* the loop's own view: submitted, done not yet called */
};

static void work(struct log_writer *w, struct log_job *job)
{
    uint64_t begin = clock_mono_ns(&clock_system);

    job->result = wal_write(w->wal, job->frame, job->last_index, &job->err);
    job->duration_ns = clock_mono_ns(&clock_system) - begin;
    if (job->result == 0 && job->release_index)
        job->result = wal_release(w->wal, job->release_index, &job->err);
}

static void run(void *arg)
{
    struct log_writer *w = arg;

    uv_mutex_lock(&w->lock);
    for (;;) {
        while (!w->job && !w->stop)
            uv_cond_wait(&w->wake, &w->lock);
        if (!w->job)
            break;
        struct log_job *job = w->job;
        uv_mutex_unlock(&w->lock);
        work(w, job);
        uv_mutex_lock(&w->lock);
        w->job = NULL;
        w->finished = job;
        uv_async_send(&w->finished_async);
    }
    uv_mutex_unlock(&w->lock);
}

static void on_finished(uv_async_t *async)
{
    struct log_writer *w = async->data;

    uv_mutex_lock(&w->lock);
    struct log_job *job = take_ptr(&w->finished);
    uv_mutex_unlock(&w->lock);
    if (!job)
        return;
    w->busy = false;
    w->done(w->ctx, job);
}

static void on_closed(uv_handle_t *h)
{
    struct log_writer *w = h->data;

    uv_mutex_destroy(&w->lock);
    uv_cond_destroy(&w->wake);
    free(w);
}

int log_writer_new(uv_loop_t *loop, struct wal *wal, void (*done)(void *ctx, struct log_job *job),
                   void *ctx, struct log_writer **ret, struct err *e)
{
    struct log_writer *w = xcalloc(1, sizeof *w);

    w->wal = wal;
    w->done = done;
    w->ctx = ctx;
    uv_mutex_init(&w->lock);
    uv_cond_init(&w->wake);
    uv_async_init(loop, &w->finished_async, on_finished);
    w->finished_async.data = w;
    int r = uv_thread_create(&w->thread, run, w);
    if (r < 0) {
        uv_close((uv_handle_t *)&w->finished_async, on_closed);
        return err_set(e, r, "start the log thread");
    }
    *ret = w;
    return 0;
}

void log_writer_close(struct log_writer *w)
{
    if (!w)
        return;
    uv_mutex_lock(&w->lock);
    w->stop = true;
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->lock);
    uv_thread_join(&w->thread);
    uv_close((uv_handle_t *)&w->finished_async, on_closed);
}

void log_writer_submit(struct log_writer *w, struct log_job *job)
{
    assert(!w->busy);
    w->busy = true;
    uv_mutex_lock(&w->lock);
    w->job = job;
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->lock);
}

bool log_writer_busy(const struct log_writer *w)
{
    return w->busy;
}

void log_writer_inline(struct log_writer *w, struct log_job *job)
{
    assert(!w->busy);
    work(w, job);
}
