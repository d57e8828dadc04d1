/*
 * store_fixture: a store in a directory of its own for one test, and the moves tests share: stop
 * as if the power went, open again, check everything.
 */
#ifndef ETCD_STORE_FIXTURE_H
#define ETCD_STORE_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "etcd/mvcc.h"

#define FIXTURE_MAP_BYTES (1ull << 30)

struct store {
    char dir[64];
    char path[96];
    struct db *db;
    struct mvcc *m;
    struct arena arena; /* for answers; reset as a test likes */
    struct err e;
};

static inline void store_open(struct store *s)
{
    struct db_conf conf = {
        .path = s->path, .map_bytes = FIXTURE_MAP_BYTES, .unsafe_no_fsync = true};

    if (db_open(&conf, &s->db, &s->e) < 0 || mvcc_open(s->db, &s->m, &s->e) < 0)
        fail_msg("%s", s->e.msg);
}

static inline void store_new(struct store *s)
{
    memset(s, 0, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "/tmp/store-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/db", s->dir);
    arena_init(&s->arena, 1u << 30);
    store_open(s);
}

static inline void store_close(struct store *s)
{
    mvcc_free(take_ptr(&s->m));
    db_close(take_ptr(&s->db));
}

static inline void store_free(struct store *s)
{
    static const char *const names[] = {"db",   "db-lock",   "db-mark",   "db-compacting",
                                        "copy", "copy-lock", "copy-mark", "copy-compacting"};
    char path[128];

    store_close(s);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", s->dir, names[i]);
        unlink(path);
    }
    rmdir(s->dir);
    arena_deinit(&s->arena);
}

static inline void store_checkpoint(struct store *s)
{
    assert_int_equal(mvcc_flush(s->m), 0);
    assert_int_equal(db_checkpoint(s->db, &s->e), 0);
}

static inline void store_reopen(struct store *s)
{
    store_checkpoint(s);
    store_close(s);
    store_open(s);
}

/* mvcc_check over the last checkpoint. */
static inline int store_check(struct store *s)
{
    MDB_txn *view;

    assert_int_equal(db_view_begin(s->db, &view), 0);
    int r = mvcc_check(s->db, view, NULL, NULL, &s->e);
    db_view_end(s->db, view);
    return r;
}

static inline int64_t store_put(struct store *s, struct slice key, struct slice value,
                                int64_t lease)
{
    mvcc_write_begin(s->m, &s->arena);
    assert_int_equal(mvcc_put(s->m, key, value, lease, NULL), 0);
    return mvcc_write_end(s->m, NULL, NULL);
}

static inline int64_t store_delete(struct store *s, struct slice key, struct slice end)
{
    int64_t n;

    mvcc_write_begin(s->m, &s->arena);
    assert_int_equal(mvcc_delete_range(s->m, key, end, &n, NULL), 0);
    mvcc_write_end(s->m, NULL, NULL);
    return n;
}

static inline void store_compact_all(struct store *s, int64_t rev)
{
    int r = mvcc_compact(s->m, rev);

    assert_int_equal(r, 0);
    while ((r = mvcc_compact_step(s->m, 100)) > 0)
        ;
    assert_int_equal(r, 0);
}

static inline uint32_t store_hash_kv(struct store *s, int64_t rev)
{
    MDB_txn *view;
    uint32_t hash;
    int64_t compacted, at;

    assert_int_equal(db_view_begin(s->db, &view), 0);
    assert_int_equal(mvcc_hash_kv(s->db, view, rev, &hash, &compacted, &at), 0);
    db_view_end(s->db, view);
    return hash;
}

static inline uint32_t store_hash_all(struct store *s)
{
    MDB_txn *view;
    uint32_t hash;

    assert_int_equal(db_view_begin(s->db, &view), 0);
    assert_int_equal(mvcc_hash_all(s->db, view, &hash), 0);
    db_view_end(s->db, view);
    return hash;
}

#endif
