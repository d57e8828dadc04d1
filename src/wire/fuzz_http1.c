/*
 * A connection that gets the input whole and answers at once must see and send the same as one that
 * gets it in pieces and answers late, in any order.
 */
#include "base/map.h"
#include "base/rng.h"
#include "wire/http1.h"

#define BODY_MAX    256
#define INPUT_MAX   16384 /* within what a full pipeline keeps */
#define PIECE_MAX   24
#define OUTPUT_MAX  (64u * 1024 * 1024)
#define PENDING_MAX (2 * LIMIT_HTTP1_PIPELINE)

struct peer {
    struct http1 *h;
    struct buf seen, sent;
    struct rng *rng; /* NULL: answers at once */
    struct http_exchange *pending[PENDING_MAX];
    size_t npending;
};

static void note(struct buf *b, struct slice s)
{
    assert(buf_printf(b, "%zu:", s.n) == 0 && buf_append_slice(b, s) == 0);
}

static void forget(struct http_exchange *x)
{
    struct peer *p = x->user;

    for (size_t i = 0; i < p->npending; i++) {
        if (p->pending[i] == x)
            p->pending[i] = p->pending[--p->npending];
    }
}

static void answer(struct http_exchange *x)
{
    const struct http_request *r = x->req;

    x->ops->reply(x, 200, r->headers, MIN(r->nheaders, (size_t)1), r->path);
}

static void handle(void *ctx, struct http_exchange *x)
{
    const struct http_request *r = x->req;
    struct peer *p = ctx;

    note(&p->seen, r->method);
    note(&p->seen, r->path);
    note(&p->seen, r->query);
    note(&p->seen, r->authority);
    for (size_t i = 0; i < r->nheaders; i++) {
        note(&p->seen, r->headers[i].name);
        note(&p->seen, r->headers[i].value);
    }
    note(&p->seen, r->body);
    if (!p->rng || rng_below(p->rng, 3) == 0) {
        answer(x);
        return;
    }
    x->user = p;
    x->on_abort = forget;
    assert(p->npending < PENDING_MAX);
    p->pending[p->npending++] = x;
}

static void take_output(struct peer *p)
{
    struct buf *out = http1_output(p->h);

    assert(buf_append_slice(&p->sent, buf_slice(out)) == 0);
    buf_consume(out, out->n);
}

static void answer_one(struct peer *p)
{
    if (p->npending == 0)
        return;
    size_t i = rng_below(p->rng, p->npending);
    struct http_exchange *x = p->pending[i];
    p->pending[i] = p->pending[--p->npending];
    answer(x);
}

static void run(struct peer *p, struct slice in, struct rng *rng)
{
    *p = (struct peer){.rng = rng, .h = http1_new(handle, p, BODY_MAX)};
    buf_init(&p->seen, OUTPUT_MAX);
    buf_init(&p->sent, OUTPUT_MAX);
    while (in.n) {
        size_t n = rng ? MIN(in.n, 1 + (size_t)rng_below(rng, PIECE_MAX)) : in.n;
        http1_feed(p->h, slice_of(in.p, n));
        in = slice_skip(in, n);
        if (rng && rng_below(rng, 4) == 0)
            answer_one(p);
        take_output(p);
    }
    while (p->npending || !(http1_done(p->h) || http1_wants_read(p->h))) {
        answer_one(p);
        take_output(p);
        http1_feed(p->h, SLICE_EMPTY);
        take_output(p);
    }
}

static void peer_deinit(struct peer *p)
{
    http1_free(p->h);
    assert(p->npending == 0);
    buf_deinit(&p->seen);
    buf_deinit(&p->sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t no_seed[2];
    struct slice in = {data, size};
    struct peer whole, pieces;
    struct rng rng;

    if (size > INPUT_MAX)
        return 0;
    rng_seed(&rng, siphash13(no_seed, in));
    run(&whole, in, NULL);
    run(&pieces, in, &rng);
    assert(slice_eq(buf_slice(&whole.seen), buf_slice(&pieces.seen)));
    assert(http1_done(whole.h) == http1_done(pieces.h));
    assert(buf_append_byte(&whole.sent, 0) == 0 && buf_append_byte(&pieces.sent, 0) == 0);
    /* A "100 Continue" that comes too late is left out. */
    if (!strstr((const char *)whole.sent.p, " 100 Continue"))
        assert(slice_eq(buf_slice(&whole.sent), buf_slice(&pieces.sent)));
    peer_deinit(&whole);
    peer_deinit(&pieces);
    return 0;
}
