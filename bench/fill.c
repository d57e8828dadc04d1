/*
 * fill: writes many keys of one size, in transactions, several under way at a time.
 *
 * usage: bench_fill --target ADDR:PORT [--keys N] [--value-bytes N] [--batch N] [--inflight N]
 * prints: KEYS SECONDS
 */
#include "h2client.h"

#include "rpc.pb-c.h"

#define PATH_TXN        "/etcdserverpb.KV/Txn"
#define BATCH_MAX       128 /* upstream's --max-txn-ops */
#define VALUE_BYTES_MAX 8192
#define KEY_BYTES       32

struct fill {
    struct h2c *conn;
    size_t keys, batch, value_bytes;
    size_t sent, done;
};

static void send_batch(struct fill *f);

static void on_end(void *ctx, int status)
{
    struct fill *f = ctx;

    if (status != 0)
        bench_die("a txn ended with gRPC status %d", status);
    f->done++;
    if (f->sent < f->keys)
        send_batch(f);
}

static void send_batch(struct fill *f)
{
    static uint8_t value[VALUE_BYTES_MAX];
    char keys[BATCH_MAX][KEY_BYTES];
    Etcdserverpb__PutRequest put[BATCH_MAX];
    Etcdserverpb__RequestOp op[BATCH_MAX], *ops[BATCH_MAX];
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    size_t n = MIN(f->batch, f->keys - f->sent);

    for (size_t i = 0; i < n; i++) {
        snprintf(keys[i], KEY_BYTES, "bench/%012zu", f->sent + i);
        put[i] = (Etcdserverpb__PutRequest)ETCDSERVERPB__PUT_REQUEST__INIT;
        put[i].key = (ProtobufCBinaryData){strlen(keys[i]), (uint8_t *)keys[i]};
        put[i].value = (ProtobufCBinaryData){f->value_bytes, value};
        op[i] = (Etcdserverpb__RequestOp)ETCDSERVERPB__REQUEST_OP__INIT;
        op[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op[i].request_put = &put[i];
        ops[i] = &op[i];
    }
    txn.n_success = n;
    txn.success = ops;
    f->sent += n;
    h2c_call(f->conn, PATH_TXN, &txn.base, false, &(struct h2c_callbacks){NULL, on_end, f});
}

int main(int argc, char **argv)
{
    struct fill f = {.keys = bench_arg_u64(argc, argv, "keys", 1000000),
                     .batch = bench_arg_u64(argc, argv, "batch", 100),
                     .value_bytes = bench_arg_u64(argc, argv, "value-bytes", 256)};
    size_t inflight = bench_arg_u64(argc, argv, "inflight", 16);

    if (f.batch == 0 || f.batch > BATCH_MAX || f.value_bytes > VALUE_BYTES_MAX || f.keys == 0)
        bench_die("--batch is 1 to %d, --value-bytes up to %d, --keys at least 1", BATCH_MAX,
                  VALUE_BYTES_MAX);
    f.conn = h2c_connect(bench_arg(argc, argv, "target", NULL));
    double start = bench_now_s();
    for (size_t i = 0; i < inflight && f.sent < f.keys; i++)
        send_batch(&f);
    while (f.done < (f.keys + f.batch - 1) / f.batch)
        h2c_poll(&f.conn, 1, -1);
    printf("%zu %.6f\n", f.keys, bench_now_s() - start);
    h2c_free(f.conn);
    return 0;
}
