#include "etcd/table.h"

#include <stdio.h>

#include "base/crc32c.h"

#define KEY_SHOWN_MAX 48 /* bytes of a key in a message; keys may be a megabyte */

uint32_t table_crc(struct slice key, struct slice payload)
{
    return crc32c(crc32c(0, key.p, key.n), payload.p, payload.n);
}

uint32_t table_seal(struct slice key, struct buf *value)
{
    assert(value->n >= TABLE_HEAD);
    uint32_t crc = table_crc(key, slice_skip(buf_slice(value), TABLE_HEAD));
    put_le32(value->p, crc);
    return crc;
}

/* How an operator knows the record: a revision, a lease, or the user's key. */
static void describe_key(enum db_table t, struct slice key, char *out, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;

    if (t == DB_HISTORY && key.n == 12) {
        snprintf(out, size, "revision %lld.%u", (long long)get_be64(key.p), get_be32(key.p + 8));
        return;
    }
    if ((t == DB_LEASE || t == DB_LEASE_KEY) && key.n >= 8) {
        snprintf(out, size, "lease %llx", (unsigned long long)get_be64(key.p));
        return;
    }
    at += (size_t)snprintf(out, size, "key \"");
    for (size_t i = 0; i < key.n && i < KEY_SHOWN_MAX && at + 12 < size; i++) {
        uint8_t c = key.p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            out[at++] = (char)c;
            continue;
        }
        out[at++] = '\\';
        out[at++] = 'x';
        out[at++] = hex[c >> 4];
        out[at++] = hex[c & 15];
    }
    snprintf(out + at, size - at, key.n > KEY_SHOWN_MAX ? "\"..." : "\"");
}

int table_damaged(struct err *e, enum db_table t, struct slice key, const char *what)
{
    char where[5 * KEY_SHOWN_MAX];

    describe_key(t, key, where, sizeof where);
    return err_set(e, ERR_DATA_DAMAGED,
                   "table %s, %s: %s; stop this member and restore its data from a backup",
                   db_table_name(t), where, what);
}

int table_open(enum db_table t, struct slice key, struct slice value, struct slice *ret_payload,
               uint32_t *ret_crc, struct err *e)
{
    if (value.n < TABLE_HEAD)
        return table_damaged(e, t, key, "record is cut short");
    struct slice payload = slice_skip(value, TABLE_HEAD);
    uint32_t crc = get_le32(value.p);
    if (table_crc(key, payload) != crc)
        return table_damaged(e, t, key, "checksum is wrong");
    *ret_payload = payload;
    if (ret_crc)
        *ret_crc = crc;
    return 0;
}

int table_get(const struct table_reader *r, enum db_table t, struct slice key,
              struct slice *ret_payload, uint32_t *ret_crc)
{
    struct slice value;
    int rc = db_get_in(r->db, r->txn, t, key, &value);

    if (rc == ERR_DATA_DAMAGED)
        return table_damaged(r->e, t, key, "a page of the file is wrong");
    if (rc < 0)
        return rc;
    return table_open(t, key, value, ret_payload, ret_crc, r->e);
}

int table_put(struct db *db, struct table_sum *sum, enum db_table t, struct slice key,
              struct buf *value, const uint32_t *old_crc)
{
    uint32_t crc = table_seal(key, value);
    int r = db_put(db, t, key, buf_slice(value));

    if (r < 0)
        return r;
    if (old_crc)
        sum->sum -= *old_crc;
    else
        sum->count++;
    sum->sum += crc;
    return 0;
}

int table_append(struct db *db, struct table_sum *sum, enum db_table t, struct slice key,
                 struct buf *value)
{
    uint32_t crc = table_seal(key, value);
    int r = db_append(db, t, key, buf_slice(value));

    if (r < 0)
        return r;
    sum->count++;
    sum->sum += crc;
    return 0;
}

int table_del(struct db *db, struct table_sum *sum, enum db_table t, struct slice key,
              uint32_t old_crc)
{
    int r = db_del(db, t, key);

    if (r < 0)
        return r;
    sum->count--;
    sum->sum -= old_crc;
    return 0;
}

static void close_cursor(MDB_cursor **c)
{
    if (*c)
        mdb_cursor_close(*c);
}

int table_each(const struct table_reader *r, enum db_table t,
               int (*each)(void *ctx, struct slice key, struct slice payload), void *ctx,
               struct table_sum *ret_sum)
{
    __attribute__((cleanup(close_cursor))) MDB_cursor *c = NULL;
    struct table_sum sum = {0};
    MDB_val k, v;

    if (!r->txn)
        return -EIO;
    int rc = mdb_cursor_open(r->txn, db_dbi(r->db, t), &c);
    while (!rc && !(rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))) {
        struct slice key = slice_of(k.mv_data, k.mv_size), payload;
        uint32_t crc;
        int our = table_open(t, key, slice_of(v.mv_data, v.mv_size), &payload, &crc, r->e);
        if (our == 0)
            our = each(ctx, key, payload);
        if (our)
            return our;
        sum.count++;
        sum.sum += crc;
    }
    if (rc != MDB_NOTFOUND)
        return err_set(r->e, db_error(rc), "table %s: a page of the file is wrong",
                       db_table_name(t));
    if (ret_sum)
        *ret_sum = sum;
    return 0;
}
