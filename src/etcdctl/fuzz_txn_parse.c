#include "etcdctl/txn_parse.h"
#include "etcdctl/watch_args.h"

/* The text of a transaction; what parses has to have an encoding. The same lines are given to the
 * parser of watch -i. */

#define ARENA_MAX (8u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void watch_line(struct arena *a, struct slice line)
{
    Etcdserverpb__WatchCreateRequest request;
    struct watch_flags flags;
    struct watch_args args;
    enum watch_line kind;
    struct err e;

    if (watch_line_parse(a, line, NULL, NULL, &kind, &flags, &args, &e) == 0 &&
        kind == WATCH_LINE_WATCH && watch_create_request(&flags, &args, a, &request, &e) == 0)
        protobuf_c_message_get_packed_size(&request.base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice text = slice_of(data, n);
    struct txn_parser p;
    struct arena a;
    struct err e;
    int r = 0;

    arena_init(&a, ARENA_MAX);
    txn_parser_init(&p, &a);
    while (text.n > 0 && p.block != TXN_DONE && r == 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t len = end ? (size_t)(end - text.p) : text.n;
        r = txn_parser_line(&p, slice_of(text.p, len), &e);
        watch_line(&a, slice_of(text.p, len));
        text = slice_skip(text, end ? len + 1 : len);
    }
    if (r == 0)
        protobuf_c_message_get_packed_size(&p.request.base);
    arena_deinit(&a);
    return 0;
}
