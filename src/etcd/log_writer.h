/*
 * log_writer: the thread that makes log frames durable while the loop gathers the next batch.
 *
 *   loop:    log_writer_submit(frame) ----------------------------> done(result)
 *   thread:           wal_write: one write, one fdatasync --> wake loop
 *
 * One job at a time; the frame belongs to the writer from submit to done. log_writer_inline does
 * the same work on the calling thread, which is faster when nobody else waits: it saves two thread
 * switches.
 */
#ifndef ETCD_LOG_WRITER_H
#define ETCD_LOG_WRITER_H

#include <uv.h>

#include "etcd/wal.h"

struct log_job {
    struct buf *frame;
    uint64_t last_index;
    uint64_t release_index; /* > 0: afterwards, drop segments at or below it */
    int result;
    uint64_t duration_ns;
    struct err err;
};

struct log_writer;
/* done is called on the loop's thread with the job given to submit. wal is borrowed. */
int log_writer_new(uv_loop_t *loop, struct wal *wal, void (*done)(void *ctx, struct log_job *job),
                   void *ctx, struct log_writer **ret, struct err *e);
/* Waits for the running job (its done is not called any more), ends the thread; freed once the loop
 * has closed its handle. */
void log_writer_close(struct log_writer *w);
/* job and its frame must stay until done. */
void log_writer_submit(struct log_writer *w, struct log_job *job);
bool log_writer_busy(const struct log_writer *w);
/* Does the job now. Only while not busy. */
void log_writer_inline(struct log_writer *w, struct log_job *job);

#endif
