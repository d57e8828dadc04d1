#include "etcd/db_mark.h"

#include <fcntl.h>
#include <sys/file.h>

#include "base/crc32c.h"

/*  0  magic      8   "SteadMk1"
 *  8  seq        8
 * 16  n          4
 * 20  0          4
 * 24  roots      2 x { txnid 8, crc 4, 0 4 }
 * 56  crc32c     4   of bytes 0 to 55
 * 60  zeros      to 512 */
#define MARK_BYTES 512
#define MARK_CRC   56
static const uint8_t magic[8] = "SteadMk1";

int db_mark_open(const char *path, int *ret_fd, struct err *e)
{
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set(e, -errno, "open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return err_set(e, ERR_IN_USE, "database of '%s' is in use by another process", path);
        return err_set(e, -errno, "lock '%s'", path);
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

static void encode(const struct db_mark *m, uint8_t out[MARK_BYTES])
{
    memset(out, 0, MARK_BYTES);
    memcpy(out, magic, sizeof magic);
    put_le64(out + 8, m->seq);
    put_le32(out + 16, m->n);
    for (unsigned i = 0; i < m->n; i++) {
        put_le64(out + 24 + 16 * i, m->roots[i].txnid);
        put_le32(out + 32 + 16 * i, m->roots[i].crc);
    }
    put_le32(out + MARK_CRC, crc32c(0, out, MARK_CRC));
}

static bool decode(const uint8_t in[MARK_BYTES], struct db_mark *ret)
{
    struct db_mark m = {.seq = get_le64(in + 8), .n = get_le32(in + 16)};

    if (memcmp(in, magic, sizeof magic) != 0 || get_le32(in + MARK_CRC) != crc32c(0, in, MARK_CRC))
        return false;
    if (m.seq == 0 || m.n < 1 || m.n > ARRAY_LEN(m.roots))
        return false;
    for (unsigned i = 0; i < m.n; i++) {
        m.roots[i].txnid = get_le64(in + 24 + 16 * i);
        m.roots[i].crc = get_le32(in + 32 + 16 * i);
    }
    *ret = m;
    return true;
}

int db_mark_read(int fd, struct db_mark *ret)
{
    *ret = (struct db_mark){0};
    for (unsigned slot = 0; slot < 2; slot++) {
        uint8_t raw[MARK_BYTES];
        struct db_mark m;
        ssize_t n = pread(fd, raw, sizeof raw, (off_t)slot * DB_MARK_SLOT_STEP);
        if (n < 0)
            return -errno;
        if (n == MARK_BYTES && decode(raw, &m) && (m.seq & 1) == slot && m.seq > ret->seq)
            *ret = m;
    }
    return ret->seq ? 0 : ERR_KEY_NOT_FOUND;
}

int db_mark_write(int fd, struct db_mark *mark, bool sync)
{
    struct db_mark next = *mark;
    uint8_t raw[MARK_BYTES];

    assert(next.n >= 1 && next.n <= ARRAY_LEN(next.roots));
    next.seq++;
    encode(&next, raw);
    ssize_t n = pwrite(fd, raw, sizeof raw, (off_t)(next.seq & 1) * DB_MARK_SLOT_STEP);
    if (n != (ssize_t)sizeof raw)
        return n < 0 ? -errno : -EIO;
    if (sync && fdatasync(fd) < 0)
        return -errno;
    *mark = next;
    return 0;
}
