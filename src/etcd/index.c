#include "etcd/index.h"

/* Entry: 0 flags 1, 1 mod main 8, 9 mod sub 4, 13 create 8, 21 version 8
 *        then with FLAG_LEASE: lease 8
 *        then with FLAG_JUMPS: two of { main 8, sub 4, dist 4 }
 * Payload of a short key: one entry. Of a group: entries 4, then each { suffix length 4, suffix,
 * entry } in order of the suffixes. */
#define FLAG_TOMBSTONE  1u
#define FLAG_LEASE      2u
#define FLAG_JUMPS      4u
#define FLAGS_KNOWN     7u
#define FIXED_BYTES     29
#define LEASE_BYTES     8
#define JUMP_BYTES      16
#define ENTRY_BYTES_MAX (FIXED_BYTES + LEASE_BYTES + 2 * JUMP_BYTES)
#define GROUP_KEY_BYTES (INDEX_KEY_INLINE_MAX + 1)

static uint8_t *encode_jump(uint8_t *p, const struct rev_link *l)
{
    put_le64(p, (uint64_t)l->rev.main);
    put_le32(p + 8, l->rev.sub);
    put_le32(p + 12, l->dist);
    return p + JUMP_BYTES;
}

static struct rev_link decode_jump(const uint8_t *p)
{
    return (struct rev_link){{(int64_t)get_le64(p), get_le32(p + 8)}, get_le32(p + 12)};
}

static size_t encode(const struct index_entry *e, uint8_t out[ENTRY_BYTES_MAX])
{
    uint8_t *p = out + FIXED_BYTES;

    out[0] = (uint8_t)((e->tombstone ? FLAG_TOMBSTONE : 0) | (e->lease ? FLAG_LEASE : 0) |
                       (e->jump[0].dist ? FLAG_JUMPS : 0));
    put_le64(out + 1, (uint64_t)e->mod.main);
    put_le32(out + 9, e->mod.sub);
    put_le64(out + 13, (uint64_t)e->create);
    put_le64(out + 21, (uint64_t)e->version);
    if (e->lease) {
        put_le64(p, (uint64_t)e->lease);
        p += LEASE_BYTES;
    }
    if (e->jump[0].dist) {
        p = encode_jump(p, &e->jump[0]);
        p = encode_jump(p, &e->jump[1]);
    }
    return (size_t)(p - out);
}

/* Takes one entry off the front of in. */
static bool decode(struct slice *in, struct index_entry *ret)
{
    const uint8_t *p = in->p;

    *ret = (struct index_entry){0};
    if (in->n < FIXED_BYTES || (p[0] & ~FLAGS_KNOWN))
        return false;
    size_t n = FIXED_BYTES + (p[0] & FLAG_LEASE ? LEASE_BYTES : 0) +
               (p[0] & FLAG_JUMPS ? 2 * JUMP_BYTES : 0);
    if (in->n < n)
        return false;
    ret->tombstone = p[0] & FLAG_TOMBSTONE;
    ret->mod = (struct rev){(int64_t)get_le64(p + 1), get_le32(p + 9)};
    ret->create = (int64_t)get_le64(p + 13);
    ret->version = (int64_t)get_le64(p + 21);
    if (p[0] & FLAG_LEASE)
        ret->lease = (int64_t)get_le64(p + FIXED_BYTES);
    if (p[0] & FLAG_JUMPS) {
        ret->jump[0] = decode_jump(p + n - 2 * JUMP_BYTES);
        ret->jump[1] = decode_jump(p + n - JUMP_BYTES);
    }
    *in = slice_skip(*in, n);
    return ret->mod.main > 0 && rev_cmp(ret->jump[0].rev, ret->mod) < 0 &&
           rev_cmp(ret->jump[1].rev, ret->mod) < 0;
}

/* --- groups of long keys --- */

static bool is_long(struct slice key)
{
    return key.n > INDEX_KEY_INLINE_MAX;
}

static struct slice group_key(struct slice key, uint8_t out[GROUP_KEY_BYTES])
{
    memcpy(out, key.p, INDEX_KEY_INLINE_MAX);
    out[INDEX_KEY_INLINE_MAX] = 0;
    return slice_of(out, GROUP_KEY_BYTES);
}

static bool group_open(struct slice *io, uint32_t *ret_left)
{
    if (io->n < 4)
        return false;
    *ret_left = get_le32(io->p);
    *io = slice_skip(*io, 4);
    return *ret_left > 0;
}

static bool group_next(struct slice *io, struct slice *ret_suffix, struct index_entry *ret)
{
    if (io->n < 4)
        return false;
    uint32_t n = get_le32(io->p);
    if (n == 0 || n > io->n - 4)
        return false;
    *ret_suffix = slice_of(io->p + 4, n);
    *io = slice_skip(*io, 4 + (size_t)n);
    return decode(io, ret);
}

/* Where suffix stands in a group: [before) and (after] are the bytes around its item. */
struct group_place {
    struct slice before, after;
    uint32_t n; /* items in the group */
    bool found;
    struct index_entry entry;
};

static bool group_find(struct slice group, struct slice suffix, struct group_place *ret)
{
    struct slice rest = group;
    uint32_t left;

    *ret = (struct group_place){0};
    if (!group_open(&rest, &left))
        return false;
    ret->n = left;
    const uint8_t *first = rest.p;
    for (; left; left--) {
        struct slice here = rest, s;
        if (!group_next(&rest, &s, &ret->entry))
            return false;
        int c = slice_cmp(s, suffix);
        if (c < 0)
            continue;
        ret->found = c == 0;
        ret->before = slice_of(first, (size_t)(here.p - first));
        ret->after = c == 0 ? rest : here;
        return true;
    }
    ret->before = slice_of(first, (size_t)(rest.p - first));
    ret->after = rest;
    return true;
}

static int group_get(const struct table_reader *r, struct slice key, struct index_entry *ret)
{
    uint8_t raw[GROUP_KEY_BYTES];
    struct slice gk = group_key(key, raw), payload;
    struct group_place place;
    int rc = table_get(r, DB_INDEX, gk, &payload, NULL);

    if (rc < 0)
        return rc;
    if (!group_find(payload, slice_skip(key, INDEX_KEY_INLINE_MAX), &place))
        return table_damaged(r->e, DB_INDEX, gk, "list of long keys makes no sense");
    if (!place.found)
        return ERR_KEY_NOT_FOUND;
    *ret = place.entry;
    return 0;
}

static int build_group(struct buf *out, const struct group_place *place, struct slice suffix,
                       const struct index_entry *entry)
{
    uint8_t head[TABLE_HEAD + 4] = {0}, raw[ENTRY_BYTES_MAX];
    size_t n = entry ? encode(entry, raw) : 0;

    buf_clear(out);
    if (buf_reserve(out, sizeof head + place->before.n + 4 + suffix.n + n + place->after.n) < 0)
        return ERR_LIMIT;
    put_le32(head + TABLE_HEAD, place->n - place->found + (entry != NULL));
    buf_append(out, head, sizeof head);
    buf_append_slice(out, place->before);
    if (entry) {
        put_le32(head, (uint32_t)suffix.n);
        buf_append(out, head, 4);
        buf_append_slice(out, suffix);
        buf_append(out, raw, n);
    }
    return buf_append_slice(out, place->after);
}

/* Puts the key's entry into its group, or takes it out with entry NULL. */
static int group_set(const struct table_reader *r, struct table_sum *sum, struct buf *scratch,
                     struct slice key, const struct index_entry *entry)
{
    uint8_t raw[GROUP_KEY_BYTES];
    struct slice gk = group_key(key, raw), suffix = slice_skip(key, INDEX_KEY_INLINE_MAX), payload;
    struct group_place place = {0};
    uint32_t old_crc;
    int rc = table_get(r, DB_INDEX, gk, &payload, &old_crc);
    bool exists = rc == 0;

    if (rc < 0 && rc != ERR_KEY_NOT_FOUND)
        return rc;
    if (exists && !group_find(payload, suffix, &place))
        return table_damaged(r->e, DB_INDEX, gk, "list of long keys makes no sense");
    if (!entry && !place.found)
        return ERR_KEY_NOT_FOUND;
    if (!entry && place.n == 1)
        return table_del(r->db, sum, DB_INDEX, gk, old_crc);
    rc = build_group(scratch, &place, suffix, entry);
    if (rc < 0)
        return rc;
    return table_put(r->db, sum, DB_INDEX, gk, scratch, exists ? &old_crc : NULL);
}

/* --- one key --- */

int index_get(const struct table_reader *r, struct slice key, struct index_entry *ret)
{
    struct slice payload;
    uint32_t crc;

    if (is_long(key))
        return group_get(r, key, ret);
    int rc = table_get(r, DB_INDEX, key, &payload, &crc);
    if (rc < 0)
        return rc;
    if (!decode(&payload, ret) || payload.n)
        return table_damaged(r->e, DB_INDEX, key, "record makes no sense");
    ret->crc = crc;
    return 0;
}

int index_put(const struct table_reader *r, struct table_sum *sum, struct buf *scratch,
              struct slice key, const struct index_entry *old, const struct index_entry *entry)
{
    assert(key.n > 0 && entry->mod.main > 0);
    if (is_long(key))
        return group_set(r, sum, scratch, key, entry);
    buf_clear(scratch);
    if (buf_reserve(scratch, TABLE_HEAD + ENTRY_BYTES_MAX) < 0)
        return ERR_LIMIT;
    scratch->n = TABLE_HEAD + encode(entry, scratch->p + TABLE_HEAD);
    return table_put(r->db, sum, DB_INDEX, key, scratch, old ? &old->crc : NULL);
}

int index_del(const struct table_reader *r, struct table_sum *sum, struct buf *scratch,
              struct slice key, const struct index_entry *old)
{
    if (is_long(key))
        return group_set(r, sum, scratch, key, NULL);
    return table_del(r->db, sum, DB_INDEX, key, old->crc);
}

/* --- walking --- */

int index_iter_init(struct index_iter *it, const struct table_reader *r, struct slice from,
                    struct slice end)
{
    assert(end.n > 0);
    *it = (struct index_iter){.r = r, .from = from, .end = end};
    buf_init(&it->long_key, INDEX_GROUP_BYTES_MAX);
    if (!r->txn)
        return -EIO;
    return db_error(mdb_cursor_open(r->txn, db_dbi(r->db, DB_INDEX), &it->cursor));
}

void index_iter_deinit(struct index_iter *it)
{
    if (it->cursor)
        mdb_cursor_close(it->cursor);
    it->cursor = NULL;
    buf_deinit(&it->long_key);
}

static bool past_end(const struct index_iter *it, struct slice key)
{
    if (it->end.n == 1 && it->end.p[0] == 0)
        return false;
    return slice_cmp(key, it->end) >= 0;
}

/* The next table record, at first the one where from is or would be. */
static int next_record(struct index_iter *it, struct slice *ret_key, struct slice *ret_value)
{
    uint8_t raw[GROUP_KEY_BYTES];
    struct slice from = is_long(it->from) ? group_key(it->from, raw) : it->from;
    MDB_val k, v;
    int rc;

    if (it->placed || from.n == 0) {
        rc = mdb_cursor_get(it->cursor, &k, &v, MDB_NEXT); /* unplaced: the first */
    } else {
        memcpy(raw, from.p, from.n);
        k = (MDB_val){from.n, raw};
        rc = mdb_cursor_get(it->cursor, &k, &v, MDB_SET_RANGE);
    }
    it->placed = true;
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc)
        return err_set(it->r->e, db_error(rc), "table index: a page of the file is wrong");
    *ret_key = slice_of(k.mv_data, k.mv_size);
    *ret_value = slice_of(v.mv_data, v.mv_size);
    return 1;
}

/* Puts the shared first bytes of a group's keys where the suffixes follow. */
static int enter_group(struct index_iter *it, struct slice key, struct slice payload)
{
    it->group = payload;
    if (key.n != GROUP_KEY_BYTES || key.p[INDEX_KEY_INLINE_MAX] != 0 ||
        !group_open(&it->group, &it->group_left))
        return table_damaged(it->r->e, DB_INDEX, key, "list of long keys makes no sense");
    buf_clear(&it->long_key);
    return buf_append(&it->long_key, key.p, INDEX_KEY_INLINE_MAX) < 0 ? ERR_LIMIT : 0;
}

/* 1: an entry of the group; 2: skipped, before from. */
static int next_in_group(struct index_iter *it, struct slice *ret_key, struct index_entry *ret)
{
    struct slice suffix;

    it->long_key.n = INDEX_KEY_INLINE_MAX;
    if (!group_next(&it->group, &suffix, ret))
        return table_damaged(it->r->e, DB_INDEX, buf_slice(&it->long_key),
                             "list of long keys makes no sense");
    it->group_left--;
    if (buf_append_slice(&it->long_key, suffix) < 0)
        return ERR_LIMIT;
    *ret_key = buf_slice(&it->long_key);
    return slice_cmp(*ret_key, it->from) < 0 ? 2 : 1;
}

/* 1: an entry; 2: a group was entered; 0: the end. */
static int next_short(struct index_iter *it, struct slice *ret_key, struct index_entry *ret)
{
    struct slice value, payload;
    uint32_t crc;
    int rc = next_record(it, ret_key, &value);

    if (rc <= 0)
        return rc;
    rc = table_open(DB_INDEX, *ret_key, value, &payload, &crc, it->r->e);
    if (rc < 0)
        return rc;
    it->records++;
    it->record_crc_sum += crc;
    if (is_long(*ret_key)) {
        rc = enter_group(it, *ret_key, payload);
        return rc < 0 ? rc : 2;
    }
    if (!decode(&payload, ret) || payload.n)
        return table_damaged(it->r->e, DB_INDEX, *ret_key, "record makes no sense");
    ret->crc = crc;
    return 1;
}

int index_iter_next(struct index_iter *it, struct slice *ret_key, struct index_entry *ret)
{
    int rc;

    do
        rc = it->group_left ? next_in_group(it, ret_key, ret) : next_short(it, ret_key, ret);
    while (rc == 2);
    if (rc == 1 && past_end(it, *ret_key))
        return 0;
    return rc;
}
