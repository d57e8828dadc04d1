#include "base/crc32c.h"
#include "etcd/mvcc_internal.h"

/* upstream's bytes of a stored record: as its bucket holds them, see etcd.md section c and
 * server/storage/mvcc/hash.go, kv.pb.go */
#define UPSTREAM_REV_BYTES   18 /* main 8, '_', sub 8, and 't' for a tombstone */
#define VARINT_BYTES_MAX     10
#define UPSTREAM_FIELD_BYTES (1 + VARINT_BYTES_MAX)

static size_t put_varint(uint8_t *p, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

/* A field of protobuf: number and wire type, then the number or the length; zero is left out. */
static uint32_t hash_field(uint32_t crc, unsigned number, unsigned wire_type, uint64_t v)
{
    uint8_t raw[UPSTREAM_FIELD_BYTES];

    if (v == 0)
        return crc;
    raw[0] = (uint8_t)(number << 3 | wire_type);
    return crc32c(crc, raw, 1 + put_varint(raw + 1, v));
}

static uint32_t hash_bytes(uint32_t crc, unsigned number, struct slice s)
{
    return crc32c(hash_field(crc, number, 2, s.n), s.p, s.n);
}

static uint32_t hash_record(uint32_t crc, const struct history_record *rec)
{
    uint8_t rev[UPSTREAM_REV_BYTES];

    put_be64(rev, (uint64_t)rec->rev.main);
    rev[8] = '_';
    put_be64(rev + 9, rec->rev.sub);
    rev[17] = 't';
    crc = crc32c(crc, rev, rec->tombstone ? 18 : 17);
    crc = hash_bytes(crc, 1, rec->key);
    if (rec->tombstone)
        return crc;
    crc = hash_field(crc, 2, 0, (uint64_t)rec->create);
    crc = hash_field(crc, 3, 0, (uint64_t)rec->rev.main);
    crc = hash_field(crc, 4, 0, (uint64_t)rec->version);
    crc = hash_bytes(crc, 5, rec->value);
    return hash_field(crc, 6, 0, (uint64_t)rec->lease);
}

/* Is any key live at rev? Upstream skips nothing when there is none. */
static int any_live(const struct table_reader *r, int64_t rev)
{
    cleanup_index_iter struct index_iter it = {0};
    struct index_entry entry;
    struct slice key;
    struct mvcc_kv kv;
    int rc = index_iter_init(&it, r, SLICE_EMPTY, SLICE_LIT("\0"));

    while (rc >= 0 && (rc = index_iter_next(&it, &key, &entry)) > 0) {
        rc = mvcc_version_at(r, key, &entry, rev, false, &kv);
        if (rc == 0)
            return 1;
        if (rc == ERR_KEY_NOT_FOUND)
            rc = 0;
    }
    return rc;
}

/* Is rec, at or below the compacted revision, what its key stands at in revision rev? */
static int stands_at(const struct table_reader *r, const struct history_record *rec, int64_t rev)
{
    struct history_record found = {0};
    struct index_entry entry;

    if (rec->tombstone)
        return 0;
    int rc = index_get(r, rec->key, &entry);
    if (rc == 0 && entry.mod.main <= rev)
        return rev_cmp(entry.mod, rec->rev) == 0;
    if (rc == 0)
        rc = links_find(r, rec->key, &entry, rev, &found);
    if (rc < 0)
        return rc == ERR_KEY_NOT_FOUND ? 0 : rc;
    return rev_cmp(found.rev, rec->rev) == 0;
}

/* What compaction will drop is left out whether it is gone yet or not, so that members agree. */
static int hash_upto(const struct table_reader *r, int64_t rev, uint32_t *io_crc)
{
    cleanup_history_iter struct history_iter it = {0};
    struct history_record rec;
    int rc = history_iter_init(&it, r);
    int live = rc < 0 || r->compact_rev <= 0 ? 1 : any_live(r, rev);

    if (rc < 0 || live < 0)
        return rc < 0 ? rc : live;
    for (rc = history_iter_seek(&it, REV_NONE, &rec); rc > 0 && rec.rev.main <= rev;
         rc = history_iter_next(&it, &rec)) {
        int kept = rec.rev.main > r->compact_rev;
        if (!kept)
            kept = stands_at(r, &rec, live ? rev : r->compact_rev);
        if (kept < 0)
            return kept;
        if (kept)
            *io_crc = hash_record(*io_crc, &rec);
    }
    return rc < 0 ? rc : 0;
}

int mvcc_hash_kv(struct db *db, MDB_txn *view, int64_t rev, uint32_t *ret_hash,
                 int64_t *ret_compact_rev, int64_t *ret_hash_rev)
{
    struct err e;
    struct table_reader r = {db, view, -1, &e};
    struct mvcc_state s = MVCC_STATE_FRESH;
    uint32_t crc = crc32c(0, "key", 3);
    int rc = mvcc_state_read(&r, &s);

    if (rc < 0 && rc != ERR_KEY_NOT_FOUND)
        return rc;
    if (rev > 0 && rev < s.compact_rev)
        return ERR_COMPACTED;
    if (rev > s.rev)
        return ERR_FUTURE_REV;
    if (rev <= 0)
        rev = s.rev;
    r.compact_rev = s.compact_rev;
    rc = hash_upto(&r, rev, &crc);
    if (rc < 0)
        return rc;
    *ret_hash = crc;
    *ret_compact_rev = s.compact_rev;
    *ret_hash_rev = rev;
    return 0;
}

static int hash_pair(void *ctx, struct slice key, struct slice payload)
{
    uint32_t *crc = ctx;

    *crc = crc32c(crc32c(*crc, key.p, key.n), payload.p, payload.n);
    return 0;
}

int mvcc_hash_all(struct db *db, MDB_txn *view, uint32_t *ret_hash)
{
    struct err e;
    struct table_reader r = {db, view, -1, &e};
    uint32_t crc = 0;

    for (int t = 0; t < DB_TABLES; t++) {
        const char *name = db_table_name((enum db_table)t);
        crc = crc32c(crc, name, strlen(name));
        int rc = table_each(&r, (enum db_table)t, hash_pair, &crc, NULL);
        if (rc < 0)
            return rc;
    }
    *ret_hash = crc;
    return 0;
}
