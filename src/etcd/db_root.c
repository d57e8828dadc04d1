#include "etcd/db_root.h"

#include <sys/stat.h>

#include "base/crc32c.h"

/* lmdb 0.9.24, mdb.c: struct MDB_page's header, then struct MDB_meta:
 *   0 mp_pgno 8, 8 mp_pad 2, 10 mp_flags 2, 12 free bounds 4
 *   then: 0 mm_magic 4, 4 mm_version 4, 8 mm_address 8, 16 mm_mapsize 8,
 *         24 mm_dbs[2] of 48 (md_pad of the first is the page size), 120 mm_last_pg 8, 128 mm_txnid
 * 8 */
#define HEADER_BYTES   16
#define HEADER_FLAGS   10
#define FLAG_META      0x08
#define META_MAGIC     0xBEEFC0DEu
#define META_VERSION   1
#define META_PAGE_SIZE 24
#define META_LAST_PAGE 120
#define META_TXNID     128
#define PAGE_BYTES_MIN 512u
#define PAGE_BYTES_MAX 65536u

static bool decode(const uint8_t in[HEADER_BYTES + DB_ROOT_RAW], struct db_root_page *ret)
{
    const uint8_t *meta = in + HEADER_BYTES;
    uint32_t page_bytes = get_le32(meta + META_PAGE_SIZE);

    *ret = (struct db_root_page){0};
    if (!(in[HEADER_FLAGS] & FLAG_META) || get_le32(meta) != META_MAGIC ||
        get_le32(meta + 4) != META_VERSION)
        return false;
    if (page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX ||
        (page_bytes & (page_bytes - 1)))
        return false;
    ret->ok = true;
    ret->page_bytes = page_bytes;
    ret->last_page = get_le64(meta + META_LAST_PAGE);
    ret->root.txnid = get_le64(meta + META_TXNID);
    ret->root.crc = crc32c(0, meta, DB_ROOT_RAW);
    memcpy(ret->raw, meta, DB_ROOT_RAW);
    return true;
}

static int read_at(int fd, uint64_t offset, struct db_root_page *ret)
{
    uint8_t raw[HEADER_BYTES + DB_ROOT_RAW];
    ssize_t n = pread(fd, raw, sizeof raw, (off_t)offset);

    *ret = (struct db_root_page){0};
    if (n < 0)
        return -errno;
    if (n == (ssize_t)sizeof raw)
        decode(raw, ret);
    return 0;
}

int db_root_read(int fd, struct db_root_page ret[2])
{
    int r = read_at(fd, 0, &ret[0]);

    if (r < 0)
        return r;
    if (ret[0].ok)
        return read_at(fd, ret[0].page_bytes, &ret[1]);
    /* The page size stands in the record itself: with the first one spoilt, look where the second
     * can be. */
    for (uint32_t at = PAGE_BYTES_MIN; at <= PAGE_BYTES_MAX; at *= 2) {
        r = read_at(fd, at, &ret[1]);
        if (r < 0)
            return r;
        if (ret[1].ok && ret[1].page_bytes == at)
            return 0;
    }
    ret[1] = (struct db_root_page){0};
    return 0;
}

const struct db_root_page *db_root_newest(const struct db_root_page pages[2])
{
    if (!pages[0].ok || !pages[1].ok)
        return pages[0].ok ? &pages[0] : pages[1].ok ? &pages[1] : NULL;
    return pages[0].root.txnid < pages[1].root.txnid ? &pages[1] : &pages[0];
}

/* Writes good over the record in slot and makes that durable. */
static int restore(int fd, const struct db_root_page *good, unsigned slot)
{
    uint8_t raw[HEADER_BYTES + DB_ROOT_RAW] = {0};

    put_le64(raw, slot); /* mp_pgno */
    raw[HEADER_FLAGS] = FLAG_META;
    memcpy(raw + HEADER_BYTES, good->raw, DB_ROOT_RAW);
    ssize_t n = pwrite(fd, raw, sizeof raw, (off_t)((uint64_t)slot * good->page_bytes));
    if (n != (ssize_t)sizeof raw)
        return n < 0 ? -errno : -EIO;
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int find_marked(const struct db_root_page pages[2], const struct db_mark *mark)
{
    for (unsigned i = 0; i < mark->n; i++)
        for (int slot = 0; slot < 2; slot++)
            if (pages[slot].ok && pages[slot].root.txnid == mark->roots[i].txnid &&
                pages[slot].root.crc == mark->roots[i].crc)
                return slot;
    return -1;
}

static int check_length(int fd, const char *path, const struct db_root_page *p, struct err *e)
{
    struct stat st;
    uint64_t need = (p->last_page + 1) * p->page_bytes;

    if (fstat(fd, &st) < 0)
        return err_set(e, -errno, "stat '%s'", path);
    if ((uint64_t)st.st_size < need)
        return err_set(
            e, ERR_DATA_DAMAGED,
            "'%s' is cut short: %llu bytes, its pages need %llu; restore it from a backup", path,
            (unsigned long long)st.st_size, (unsigned long long)need);
    return 0;
}

int db_root_settle(int fd, const char *path, const struct db_mark *mark, struct err *e)
{
    struct db_root_page pages[2];
    int r = db_root_read(fd, pages);

    if (r < 0)
        return err_set(e, r, "read '%s'", path);
    int slot = find_marked(pages, mark);
    if (slot < 0)
        return err_set(e, ERR_DATA_DAMAGED,
                       "'%s' does not hold the root that '%s-mark' names (transaction %llu; found "
                       "%llu and %llu): the two files do not belong together or are damaged; "
                       "restore both from a backup",
                       path, path, (unsigned long long)mark->roots[0].txnid,
                       (unsigned long long)pages[0].root.txnid,
                       (unsigned long long)pages[1].root.txnid);
    const struct db_root_page *good = &pages[slot], *other = &pages[!slot];
    r = check_length(fd, path, good, e);
    if (r < 0)
        return r;
    if (other->ok && other->root.txnid < good->root.txnid)
        return 0;
    if (other->ok && other->root.crc == good->root.crc)
        return 0; /* restored before */
    r = restore(fd, good, !slot);
    return r < 0 ? err_set(e, r, "write '%s'", path) : 0;
}

int db_root_extend(int fd, const struct db_root_page *p)
{
    struct stat st;
    off_t need = (off_t)((p->last_page + 1) * p->page_bytes);

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size < need && ftruncate(fd, need) < 0)
        return -errno;
    return 0;
}
