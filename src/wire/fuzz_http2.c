/* What a client may send after its preface, to a server with methods of every kind. The first byte
 * says in which pieces it arrives. */
#include "base/clock.h"
#include "rpc.pb-c.h"
#include "wire/grpc_conn.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void on_echo(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    grpc_call_send_parts(c, &raw, 1);
    if (!grpc_call_method(c)->client_streaming)
        grpc_call_finish(c, raw.n % 3 ? GRPC_OK : GRPC_ABORTED, "because");
}

static void on_keep(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    /* never answered: ends by cancel, deadline or the connection's end */
}

static void on_cancel(struct grpc_call *c)
{
    assert(grpc_call_state(c));
}

static void on_http(void *ctx, struct http_exchange *x)
{
    if (x->req->body.n % 2 == 0)
        http_reply(x, 200, "text/plain", x->req->body);
}

static const struct grpc_method methods[] = {
    {.path = "/etcdserverpb.KV/Range",
     .request = &etcdserverpb__range_request__descriptor,
     .on_message = on_echo},
    {.path = "/etcdserverpb.KV/Txn",
     .request = &etcdserverpb__txn_request__descriptor,
     .state_size = 8,
     .on_message = on_keep,
     .on_cancel = on_cancel},
    {.path = "/etcdserverpb.Watch/Watch",
     .request = &etcdserverpb__watch_request__descriptor,
     .client_streaming = true,
     .server_streaming = true,
     .state_size = 8,
     .on_message = on_echo,
     .on_cancel = on_cancel},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grpc_methods *m = grpc_methods_new(NULL);
    struct grpc_conn_conf conf = {.methods = m,
                                  .http = on_http,
                                  .request_max = 100000,
                                  .streams_max = 100,
                                  .keepalive_min_ns = 5 * NS_PER_S,
                                  .keepalive_interval_ns = NS_PER_S,
                                  .keepalive_timeout_ns = NS_PER_S};
    uint64_t now_ns = NS_PER_S;

    grpc_methods_add(m, methods);
    struct grpc_conn *c = grpc_conn_new(&conf, now_ns);
    struct http2 *h = grpc_conn_http2(c);
    size_t piece = size ? 1 + data[0] * 4u : 1;
    grpc_conn_feed(c, SLICE_LIT(PREFACE), now_ns);
    for (size_t at = 1; at < size && !http2_done(h); at += piece) {
        grpc_conn_feed(c, slice_of(data + at, MIN(piece, size - at)), now_ns);
        http2_flush(h);
        buf_clear(http2_output(h));
        now_ns += NS_PER_MS;
    }
    grpc_conn_tick(c, now_ns + 10 * NS_PER_S);
    if (size % 2)
        grpc_conn_stop(c);
    http2_flush(h);
    grpc_conn_free(c);
    grpc_methods_free(m);
    return 0;
}
