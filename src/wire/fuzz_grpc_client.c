/* What a server may send to a client with three calls open: one of a single message, one that is
 * still sending, one with a deadline. Every call must end exactly once. The first byte says in
 * which pieces it arrives. */
#include "base/clock.h"
#include "wire/grpc_client.h"

struct seen {
    int ended;
};

static void on_message(struct grpc_client_call *c, struct slice raw)
{
    if (raw.n == 3)
        (void)grpc_client_send_raw(c, raw);
}

static void on_status(struct grpc_client_call *c, int status, struct slice text,
                      const struct http_header *trailers, size_t n)
{
    struct seen *seen = grpc_client_call_user(c);

    seen->ended++;
}

static const struct grpc_client_handler handler = {.on_message = on_message,
                                                   .on_status = on_status};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grpc_client_conf conf = {.authority = "a",
                                    .user_agent = "b",
                                    .response_max = 100000,
                                    .keepalive_interval_ns = NS_PER_S,
                                    .keepalive_timeout_ns = NS_PER_S};
    struct seen seen[3] = {0};
    uint64_t now_ns = NS_PER_S;
    struct grpc_client *c = grpc_client_new(&conf, now_ns);
    size_t piece = size ? 1 + data[0] * 4u : 1;

    for (int i = 0; i < 3; i++) {
        struct grpc_client_call *call = grpc_client_open(c, "/a/b", i == 2 ? NS_PER_MS : 0, now_ns,
                                                         NULL, 0, &handler, &seen[i]);
        grpc_client_send_raw(call, SLICE_LIT("x"));
        if (i == 0)
            grpc_client_half_close(call);
    }
    for (size_t at = 1; at < size && !grpc_client_done(c); at += piece) {
        grpc_client_flush(c);
        buf_clear(grpc_client_output(c));
        grpc_client_feed(c, slice_of(data + at, MIN(piece, size - at)), now_ns);
        now_ns += NS_PER_US * 10;
    }
    grpc_client_tick(c, now_ns + (size % 2) * NS_PER_S);
    grpc_client_flush(c);
    grpc_client_free(c, NULL);
    for (int i = 0; i < 3; i++)
        assert(seen[i].ended == 1);
    return 0;
}
