/*
 * Maintenance.Snapshot: the store's file as a stream, while writes go on.
 *
 *   COPYING (worker thread: a consistent copy into an unlinked temporary file)
 *     -> SENDING (pieces, as fast as the client takes them) -> SUM (SHA-256 of all before, as
 * upstream) -> done
 *
 * The copy exists so that the engine's read transaction ends with it, however slowly the client
 * reads: an open one would keep the store from reusing pages.
 */
#include "etcd/api.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "etcd/conf.h"
#include "etcd/server.h"
#include "wire/pb.h"

#define SNAPSHOT_PIECE     (32u * 1024)  /* upstream's */
#define SNAPSHOT_QUEUE_MAX (256u * 1024) /* pieces waiting on the stream */
#define SNAPSHOT_SUM_BYTES 32

struct snapshot {
    struct grpc_call *call; /* NULL: gone */
    struct server *server;
    MDB_txn *view;
    bool copying; /* fd and size are the worker's */
    int fd;
    uint64_t size, sent;
    EVP_MD_CTX *sum;
    uint64_t began_ns;
};
struct snapshot_state {
    struct snapshot *snapshot;
};

static void snapshot_free(struct snapshot *sn)
{
    if (sn->fd >= 0)
        close(sn->fd);
    EVP_MD_CTX_free(sn->sum);
    free(sn);
}

static int copy_run(void *arg)
{
    struct snapshot *sn = arg;
    struct stat st;
    cleanup_free char *path =
        xasprintf("%s/member/snap/copy.tmp.XXXXXX", server_conf(sn->server)->data_dir);

    sn->fd = mkostemp(path, O_CLOEXEC);
    if (sn->fd < 0)
        return -errno;
    unlink(path);
    int r = db_error(mdb_env_copyfd2(mdb_txn_env(sn->view), sn->fd, 0));
    if (r == 0 && fstat(sn->fd, &st) < 0)
        r = -errno;
    sn->size = r == 0 ? (uint64_t)st.st_size : 0;
    return r;
}

static int send_blob(struct snapshot *sn, const uint8_t *p, size_t n, uint64_t remaining)
{
    Etcdserverpb__SnapshotResponse resp = ETCDSERVERPB__SNAPSHOT_RESPONSE__INIT;

    resp.blob = PB_BYTES(slice_of(p, n));
    resp.remaining_bytes = remaining;
    resp.version = (char *)(uintptr_t)ETCD_CLUSTER_VERSION;
    return grpc_call_send(sn->call, &resp.base);
}

static int send_piece(struct snapshot *sn)
{
    uint8_t piece[SNAPSHOT_PIECE];
    ssize_t n = pread(sn->fd, piece, sizeof piece, (off_t)sn->sent);

    if (n <= 0)
        return n < 0 ? -errno : -EIO;
    EVP_DigestUpdate(sn->sum, piece, (size_t)n);
    sn->sent += (uint64_t)n;
    return send_blob(sn, piece, (size_t)n, sn->size - sn->sent);
}

static void finish(struct snapshot *sn, int r)
{
    uint8_t sum[SNAPSHOT_SUM_BYTES];
    struct grpc_call *c = sn->call;
    struct snapshot_state *st = grpc_call_state(c);

    st->snapshot = NULL;
    if (r == 0) {
        EVP_DigestFinal_ex(sn->sum, sum, NULL);
        r = send_blob(sn, sum, sizeof sum, 0);
    }
    log_info("snapshot", r == 0 ? "sent database snapshot to client" : "failed to send a snapshot",
             LOG_U64("total-bytes", sn->size),
             LOG_U64("took-ms", (server_now_ns(sn->server) - sn->began_ns) / NS_PER_MS));
    snapshot_free(sn);
    if (r < 0)
        grpc_call_fail(c, r);
    else
        grpc_call_finish(c, GRPC_OK, NULL);
}

static void snapshot_pump(struct snapshot *sn)
{
    int r = 0;

    while (r == 0 && sn->sent < sn->size && grpc_call_queued(sn->call) < SNAPSHOT_QUEUE_MAX)
        r = send_piece(sn);
    if (r < 0 || sn->sent == sn->size)
        finish(sn, r);
}

static void copy_after(void *arg, int result)
{
    struct snapshot *sn = arg;

    sn->copying = false;
    server_view_end(sn->server, sn->view);
    if (!sn->call)
        snapshot_free(sn);
    else if (result < 0)
        finish(sn, result == -ENOSPC ? ERR_NO_SPACE : result);
    else
        snapshot_pump(sn);
}

static void on_snapshot(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    struct server *s = grpc_call_app(c);
    struct snapshot_state *st = grpc_call_state(c);
    struct snapshot *sn = xcalloc(1, sizeof *sn);

    sn->call = c;
    sn->server = s;
    sn->fd = -1;
    sn->began_ns = server_now_ns(s);
    sn->sum = EVP_MD_CTX_new();
    server_checkpoint_now(s); /* what was acknowledged before the request is in the copy */
    int r = sn->sum && EVP_DigestInit_ex(sn->sum, EVP_sha256(), NULL) == 1 ? 0 : ERR_INTERNAL;
    if (r == 0)
        r = server_view_begin(s, &sn->view);
    if (r < 0) {
        snapshot_free(sn);
        grpc_call_fail(c, r);
        return;
    }
    st->snapshot = sn;
    sn->copying = true;
    server_offload(s, copy_run, copy_after, sn);
}

static void on_cancel(struct grpc_call *c)
{
    struct snapshot_state *st = grpc_call_state(c);

    if (!st->snapshot)
        return;
    if (st->snapshot->copying)
        st->snapshot->call = NULL; /* copy_after frees */
    else
        snapshot_free(st->snapshot);
}

static void on_writable(struct grpc_call *c)
{
    struct snapshot_state *st = grpc_call_state(c);

    if (st->snapshot && !st->snapshot->copying)
        snapshot_pump(st->snapshot);
}

const struct grpc_method snapshot_methods[] = {
    {.path = "/etcdserverpb.Maintenance/Snapshot",
     .request = &etcdserverpb__snapshot_request__descriptor,
     .server_streaming = true,
     .state_size = sizeof(struct snapshot_state),
     .on_message = on_snapshot,
     .on_cancel = on_cancel,
     .on_writable = on_writable},
    {0},
};
