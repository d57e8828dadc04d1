#include "etcd/history.h"

/* Payload:
 *   0 flags 1, 1 key length 4, 5 create 8, 13 version 8
 *   then with FLAG_LEASE: lease 8
 *   then with FLAG_LINKS: prev main 8 sub 4, jump main 8 sub 4 dist 4
 *   then key, value
 * Tombstones have create and version 0. */
#define FLAG_TOMBSTONE 1u
#define FLAG_LEASE     2u
#define FLAG_LINKS     4u
#define FLAGS_KNOWN    7u
#define FIXED_BYTES    21
#define LEASE_BYTES    8
#define LINKS_BYTES    28
#define HEAD_BYTES_MAX (TABLE_HEAD + FIXED_BYTES + LEASE_BYTES + LINKS_BYTES)

static size_t encode_head(const struct history_record *rec, uint8_t *out)
{
    uint8_t *p = out + TABLE_HEAD;

    p[0] = (uint8_t)((rec->tombstone ? FLAG_TOMBSTONE : 0) | (rec->lease ? FLAG_LEASE : 0) |
                     (rec->prev.main ? FLAG_LINKS : 0));
    put_le32(p + 1, (uint32_t)rec->key.n);
    put_le64(p + 5, (uint64_t)rec->create);
    put_le64(p + 13, (uint64_t)rec->version);
    p += FIXED_BYTES;
    if (rec->lease) {
        put_le64(p, (uint64_t)rec->lease);
        p += LEASE_BYTES;
    }
    if (rec->prev.main) {
        put_le64(p, (uint64_t)rec->prev.main);
        put_le32(p + 8, rec->prev.sub);
        put_le64(p + 12, (uint64_t)rec->jump.rev.main);
        put_le32(p + 20, rec->jump.rev.sub);
        put_le32(p + 24, rec->jump.dist);
        p += LINKS_BYTES;
    }
    return (size_t)(p - out);
}

int history_append(struct db *db, struct table_sum *sum, struct buf *scratch,
                   const struct history_record *rec)
{
    uint8_t key[REV_BYTES];

    assert(rec->rev.main > 0 && rec->key.n > 0 && rec->key.n <= UINT32_MAX);
    assert(rev_cmp(rec->prev, rec->rev) < 0);
    buf_clear(scratch);
    if (buf_reserve(scratch, HEAD_BYTES_MAX + rec->key.n + rec->value.n) < 0)
        return ERR_LIMIT;
    scratch->n = encode_head(rec, scratch->p);
    buf_append_slice(scratch, rec->key);
    buf_append_slice(scratch, rec->value);
    rev_encode(rec->rev, key);
    return table_append(db, sum, DB_HISTORY, slice_of(key, sizeof key), scratch);
}

static bool decode_links(const uint8_t *p, struct history_record *ret)
{
    ret->prev = (struct rev){(int64_t)get_le64(p), get_le32(p + 8)};
    ret->jump.rev = (struct rev){(int64_t)get_le64(p + 12), get_le32(p + 20)};
    ret->jump.dist = get_le32(p + 24);
    /* Links lead back, so a walk along them ends. */
    return ret->prev.main > 0 && rev_cmp(ret->prev, ret->rev) < 0 &&
           rev_cmp(ret->jump.rev, ret->rev) < 0;
}

static bool decode(struct slice in, struct history_record *ret)
{
    if (in.n < FIXED_BYTES || (in.p[0] & ~FLAGS_KNOWN))
        return false;
    unsigned flags = in.p[0];
    uint32_t key_len = get_le32(in.p + 1);
    ret->tombstone = flags & FLAG_TOMBSTONE;
    ret->create = (int64_t)get_le64(in.p + 5);
    ret->version = (int64_t)get_le64(in.p + 13);
    in = slice_skip(in, FIXED_BYTES);
    if (flags & FLAG_LEASE) {
        if (in.n < LEASE_BYTES)
            return false;
        ret->lease = (int64_t)get_le64(in.p);
        in = slice_skip(in, LEASE_BYTES);
    }
    if (flags & FLAG_LINKS) {
        if (in.n < LINKS_BYTES || !decode_links(in.p, ret))
            return false;
        in = slice_skip(in, LINKS_BYTES);
    }
    if (key_len == 0 || key_len > in.n)
        return false;
    ret->key = slice_of(in.p, key_len);
    ret->value = slice_skip(in, key_len);
    return true;
}

static int open_record(struct slice key, struct slice value, struct history_record *ret,
                       struct err *e)
{
    struct slice payload;

    if (key.n != REV_BYTES)
        return table_damaged(e, DB_HISTORY, key, "not a revision");
    *ret = (struct history_record){.rev = rev_decode(key.p)};
    int r = table_open(DB_HISTORY, key, value, &payload, &ret->crc, e);
    if (r < 0)
        return r;
    if (ret->rev.main <= 0 || !decode(payload, ret))
        return table_damaged(e, DB_HISTORY, key, "record makes no sense");
    return 0;
}

int history_get(const struct table_reader *r, struct rev rev, struct history_record *ret)
{
    uint8_t raw[REV_BYTES];
    struct slice key = slice_of(raw, sizeof raw), value;

    rev_encode(rev, raw);
    int rc = db_get_in(r->db, r->txn, DB_HISTORY, key, &value);
    if (rc == ERR_DATA_DAMAGED)
        return table_damaged(r->e, DB_HISTORY, key, "a page of the file is wrong");
    if (rc < 0)
        return rc;
    return open_record(key, value, ret, r->e);
}

int history_del(const struct table_reader *r, struct table_sum *sum, struct rev rev)
{
    struct history_record rec;
    uint8_t raw[REV_BYTES];
    int rc = history_get(r, rev, &rec);

    if (rc < 0)
        return rc;
    rev_encode(rev, raw);
    return table_del(r->db, sum, DB_HISTORY, slice_of(raw, sizeof raw), rec.crc);
}

int history_iter_init(struct history_iter *it, const struct table_reader *r)
{
    *it = (struct history_iter){.r = r};
    if (!r->txn)
        return -EIO;
    return db_error(mdb_cursor_open(r->txn, db_dbi(r->db, DB_HISTORY), &it->cursor));
}

void history_iter_deinit(struct history_iter *it)
{
    if (it->cursor)
        mdb_cursor_close(it->cursor);
    it->cursor = NULL;
}

static int step(struct history_iter *it, MDB_val *k, MDB_cursor_op op, struct history_record *ret)
{
    MDB_val v;
    int rc = mdb_cursor_get(it->cursor, k, &v, op);

    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc)
        return err_set(it->r->e, db_error(rc), "table history: a page of the file is wrong");
    rc = open_record(slice_of(k->mv_data, k->mv_size), slice_of(v.mv_data, v.mv_size), ret,
                     it->r->e);
    return rc < 0 ? rc : 1;
}

int history_iter_seek(struct history_iter *it, struct rev from, struct history_record *ret)
{
    uint8_t raw[REV_BYTES];
    MDB_val k = {sizeof raw, raw};

    rev_encode(from, raw);
    return step(it, &k, MDB_SET_RANGE, ret);
}

int history_iter_next(struct history_iter *it, struct history_record *ret)
{
    MDB_val k;

    return step(it, &k, MDB_NEXT, ret);
}
