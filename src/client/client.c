#include "client/client_internal.h"

#include "base/clock.h"

/* An answer that has not been asked for yet. */
struct message {
    struct list node;
    ProtobufCMessage *m;
};

struct client_stream {
    struct client *c;
    struct grpc_client_call *call; /* NULL once it has ended */
    const ProtobufCMessageDescriptor *type;
    struct list messages;
    bool malformed; /* a message that was none of its type came */
    bool ended;
    int status;
    char text[ERR_MSG_MAX];
    struct list node;  /* in client.streams */
    struct list ready; /* in client.ready, or in itself */
    void *user;
};

/*
 * The client.
 */

/* Whether a TLS setting was made that holds for endpoints without a scheme. */
static bool wants_tls(const struct client_conf *conf)
{
    return conf->cacert || conf->cert || conf->key;
}

static int add_endpoints(struct client *c, struct err *e)
{
    size_t n = 0;

    while (c->conf.endpoints && c->conf.endpoints[n])
        n++;
    if (n == 0)
        return err_set(e, ERR_USAGE, "no endpoint given");
    c->endpoints = xcalloc(n, sizeof *c->endpoints);
    for (size_t i = 0; i < n; i++) {
        c->nendpoints = i + 1;
        int r = endpoint_parse(&c->endpoints[i], c->conf.endpoints[i], wants_tls(&c->conf), e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_tls(struct client *c, struct err *e)
{
    const struct tls_files files = {
        .cert = c->conf.cert,
        .key = c->conf.key,
        .trusted_ca = c->conf.cacert,
        .skip_verify = c->conf.insecure_skip_tls_verify,
    };

    for (size_t i = 0; i < c->nendpoints; i++)
        if (c->endpoints[i].tls)
            return tls_client_context(&files, &c->tls_context, e);
    return 0;
}

int client_new(const struct client_conf *conf, struct client **ret, struct err *e)
{
    struct client *c = xcalloc(1, sizeof *c);

    c->conf = *conf;
    if (c->conf.dial_timeout_ns == 0)
        c->conf.dial_timeout_ns = CLIENT_DIAL_TIMEOUT_NS;
    c->fd = -1;
    list_init(&c->streams);
    list_init(&c->ready);
    buf_init(&c->plain, SIZE_MAX);
    int r = add_endpoints(c, e);
    if (r == 0)
        r = make_tls(c, e);
    if (r < 0) {
        client_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    client_conn_close(c, NULL);
    while (!list_empty(&c->streams))
        client_stream_close(list_first(&c->streams, struct client_stream, node));
    if (c->tls_context)
        tls_context_free(c->tls_context);
    for (size_t i = 0; i < c->nendpoints; i++)
        endpoint_deinit(&c->endpoints[i]);
    free(c->endpoints);
    buf_deinit(&c->plain);
    free(c);
}

const char *client_endpoint(const struct client *c)
{
    return c->endpoints[c->at].text;
}

/* Tries until then; a deadline in the past still means one round through the endpoints. */
static int connect_before(struct client *c, uint64_t deadline_ns, struct err *e)
{
    return client_conn_usable(c) ? 0 : client_conn_open(c, deadline_ns, e);
}

int client_connect(struct client *c, struct err *e)
{
    return connect_before(c, client_now_ns() + c->conf.dial_timeout_ns, e);
}

void client_response_free(ProtobufCMessage *m)
{
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
}

/*
 * What arrives.
 */

static void set_ready(struct client_stream *s)
{
    if (list_empty(&s->ready))
        list_add_tail(&s->c->ready, &s->ready);
}

static void on_message(struct grpc_client_call *call, struct slice raw)
{
    struct client_stream *s = grpc_client_call_user(call);
    ProtobufCMessage *m = protobuf_c_message_unpack(s->type, NULL, raw.n, raw.p);

    set_ready(s);
    if (!m) {
        s->malformed = true;
        return;
    }
    struct message *held = xcalloc(1, sizeof *held);
    held->m = m;
    list_add_tail(&s->messages, &held->node);
}

static void on_status(struct grpc_client_call *call, int status, struct slice text,
                      const struct http_header *trailers, size_t n)
{
    struct client_stream *s = grpc_client_call_user(call);

    s->call = NULL;
    s->ended = true;
    s->status = status;
    snprintf(s->text, sizeof s->text, "%.*s", (int)MIN(text.n, sizeof s->text - 1),
             text.n ? (const char *)text.p : "");
    set_ready(s);
}

static const struct grpc_client_handler handler = {.on_message = on_message,
                                                   .on_status = on_status};

/* The code of err_table.h that has this text; the status decides where none has. */
static int code_of(int status, const char *text)
{
    for (int code = ERR_FIRST + 1; code < ERR_END; code++)
        if (strcmp(err_text(code), text) == 0)
            return code;
    if (status == GRPC_UNAVAILABLE)
        return ERR_UNAVAILABLE;
    if (status == GRPC_DEADLINE_EXCEEDED)
        return ERR_DEADLINE;
    return ERR_INTERNAL;
}

static int failure(const struct client_stream *s, struct err *e)
{
    if (s->malformed)
        return err_set(e, ERR_MALFORMED, "the server's answer cannot be decoded");
    return err_set(e, code_of(s->status, s->text), "%s", s->text);
}

/*
 * Streams.
 */

static int open_stream(struct client *c, const char *path, uint64_t timeout_ns,
                       const ProtobufCMessageDescriptor *type, struct client_stream **ret,
                       struct err *e)
{
    const struct http_header leader = {SLICE_LIT("hasleader"), SLICE_LIT("true")};
    struct client_stream *s = xcalloc(1, sizeof *s);

    s->c = c;
    s->type = type;
    list_init(&s->messages);
    list_init(&s->node);
    list_init(&s->ready);
    s->call = grpc_client_open(c->grpc, path, timeout_ns, client_now_ns(), &leader,
                               c->conf.require_leader && timeout_ns == 0 ? 1 : 0, &handler, s);
    if (!s->call) {
        free(s);
        return err_set(e, ERR_UNAVAILABLE, "transport is closing");
    }
    list_add_tail(&c->streams, &s->node);
    *ret = s;
    return 0;
}

int client_stream_open(struct client *c, const char *path,
                       const ProtobufCMessageDescriptor *response_type, struct client_stream **ret,
                       struct err *e)
{
    int r = client_connect(c, e);

    return r < 0 ? r : open_stream(c, path, 0, response_type, ret, e);
}

int client_stream_send(struct client_stream *s, const ProtobufCMessage *m, struct err *e)
{
    /* What is queued has to leave before more is put behind it. */
    while (s->call && grpc_client_queued(s->call) > HTTP2_LOW_WATER) {
        int r = client_conn_turn(s->c, UINT64_MAX, -1, e);
        if (r < 0)
            return r;
    }
    if (!s->call)
        return failure(s, e);
    int r = grpc_client_send(s->call, m);
    return r < 0 ? err_set(e, ERR_INTERNAL, "send: %s", err_text(r)) : 0;
}

int client_stream_half_close(struct client_stream *s, struct err *e)
{
    if (!s->call)
        return s->status ? failure(s, e) : 0;
    grpc_client_half_close(s->call);
    return 0;
}

/* The oldest message of the stream, or NULL. */
static ProtobufCMessage *take_message(struct client_stream *s)
{
    if (list_empty(&s->messages))
        return NULL;
    struct message *held = list_first(&s->messages, struct message, node);
    ProtobufCMessage *m = held->m;
    list_del(&held->node);
    free(held);
    return m;
}

static uint64_t deadline_after(uint64_t timeout_ns)
{
    uint64_t now = client_now_ns();

    return timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
}

int client_stream_recv(struct client_stream *s, uint64_t timeout_ns, int wake_fd,
                       ProtobufCMessage **ret, struct err *e)
{
    uint64_t deadline_ns = deadline_after(timeout_ns);

    for (;;) {
        *ret = take_message(s);
        if (*ret)
            return 0;
        list_del(&s->ready);
        if (s->malformed || (s->ended && s->status != 0))
            return failure(s, e);
        if (s->ended)
            return 1;
        int r = client_conn_turn(s->c, deadline_ns, wake_fd, e);
        if ((r == ERR_DEADLINE || r == -EINTR) && list_empty(&s->messages) && !s->ended)
            return err_set(e, r, "no answer yet");
    }
}

void client_stream_close(struct client_stream *s)
{
    ProtobufCMessage *m;

    if (!s)
        return;
    if (s->call)
        grpc_client_cancel(s->call);
    while ((m = take_message(s)))
        client_response_free(m);
    list_del(&s->node);
    list_del(&s->ready);
    free(s);
}

int client_stream_status(const struct client_stream *s)
{
    return s->status;
}

void client_stream_set_user(struct client_stream *s, void *user)
{
    s->user = user;
}

void *client_stream_user(const struct client_stream *s)
{
    return s->user;
}

struct client_stream *client_ready_stream(struct client *c)
{
    if (list_empty(&c->ready))
        return NULL;
    struct client_stream *s = list_first(&c->ready, struct client_stream, ready);
    list_del(&s->ready);
    return s;
}

int client_wait(struct client *c, uint64_t timeout_ns, int wake_fd, struct err *e)
{
    uint64_t deadline_ns = deadline_after(timeout_ns);
    int r = 0;

    while (list_empty(&c->ready) && r == 0)
        r = client_conn_turn(c, deadline_ns, wake_fd, e);
    return r;
}

/*
 * Unary calls.
 */

struct unary {
    const char *path;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *type;
    uint64_t deadline_ns;
};

/* Waits for the one message and the status behind it. */
static int unary_answer(struct client_stream *s, const struct unary *u, ProtobufCMessage **ret,
                        struct err *e)
{
    ProtobufCMessage *first = NULL, *more = NULL;
    int r = client_stream_recv(s, UINT64_MAX, -1, &first, e);

    if (r == 1)
        return err_set(e, ERR_INTERNAL, "%s ended without an answer", u->path);
    if (r < 0)
        return r;
    r = client_stream_recv(s, UINT64_MAX, -1, &more, e);
    client_response_free(more);
    if (r == 1) {
        *ret = first;
        return 0;
    }
    client_response_free(first);
    return r < 0 ? r : err_set(e, ERR_INTERNAL, "%s has more than one answer", u->path);
}

static int unary_once(struct client *c, const struct unary *u, ProtobufCMessage **ret,
                      int *ret_status, struct err *e)
{
    uint64_t now = client_now_ns();
    struct client_stream *s;

    if (u->deadline_ns <= now)
        return err_set(e, ERR_DEADLINE, "%s", err_text(ERR_DEADLINE));
    uint64_t timeout_ns = u->deadline_ns == UINT64_MAX ? 0 : u->deadline_ns - now;
    int r = open_stream(c, u->path, timeout_ns, u->type, &s, e);
    if (r < 0)
        return r;
    r = client_stream_send(s, u->request, e);
    if (r == 0)
        r = client_stream_half_close(s, e);
    if (r == 0)
        r = unary_answer(s, u, ret, e);
    *ret_status = s->status;
    client_stream_close(s);
    return r;
}

int client_call(struct client *c, const char *path, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *response_type, bool idempotent,
                ProtobufCMessage **ret_response, int *ret_status, struct err *e)
{
    const struct unary u = {path, request, response_type,
                            c->conf.command_timeout_ns ? deadline_after(c->conf.command_timeout_ns)
                                                       : UINT64_MAX};
    uint64_t dial_ns = client_now_ns() + c->conf.dial_timeout_ns;
    int status = 0;
    int r;

    *ret_response = NULL;
    for (size_t attempt = 0;; attempt++) {
        r = connect_before(c, MIN(dial_ns, u.deadline_ns), e);
        if (r == 0)
            r = unary_once(c, &u, ret_response, &status, e);
        else
            status = CLIENT_NOT_CONNECTED;
        if (r != ERR_UNAVAILABLE || status == CLIENT_NOT_CONNECTED || !idempotent ||
            attempt >= c->nendpoints)
            break;
        client_conn_close(c, NULL);
        c->at = (c->at + 1) % c->nendpoints;
    }
    if (ret_status)
        *ret_status = status;
    return r;
}
