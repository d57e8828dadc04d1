#include "etcdctl/watch_args.h"

#include "base/clock.h"
#include "etcdctl/child.h"
#include "etcdctl/goquote.h"

#include <poll.h>

#define WATCHES_MAX       1024                /* of one watch -i; each is a line someone wrote */
#define WATCH_ARENA_MAX   (16u * 1024 * 1024) /* their lines */
#define WATCH_LINE_MAX    (1024u * 1024)      /* one line of watch -i */
#define ENV_VALUE_MAX     (128u * 1024)       /* the kernel takes no longer variable */
#define RECONNECT_WAIT_MS 500

/* One watch, and where it continues after a lost connection. */
struct watch {
    Etcdserverpb__WatchCreateRequest request;
    struct watch_args args;
    int64_t id; /* the server's; -1: not created yet */
    bool over;
};

struct watcher {
    struct ctl *ctl;
    struct client *c;
    struct client_stream *stream;
    struct arena arena;
    struct watch *watches;
    size_t n, live;
    const char *env_key, *env_range;
    struct buf input; /* of watch -i: what is no whole line yet */
    bool input_open;
};

static int send_request(struct watcher *w, Etcdserverpb__WatchRequest *r, struct err *e)
{
    return client_stream_send(w->stream, &r->base, e);
}

static int send_create(struct watcher *w, struct watch *watch, struct err *e)
{
    Etcdserverpb__WatchRequest r = ETCDSERVERPB__WATCH_REQUEST__INIT;

    r.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    r.create_request = &watch->request;
    watch->id = -1;
    return send_request(w, &r, e);
}

static int open_stream(struct watcher *w, struct err *e)
{
    int r = client_stream_open(w->c, "/etcdserverpb.Watch/Watch",
                               &etcdserverpb__watch_response__descriptor, &w->stream, e);

    for (size_t i = 0; i < w->n && r == 0; i++)
        if (!w->watches[i].over)
            r = send_create(w, &w->watches[i], e);
    return r;
}

/* After a lost connection: the watches go on behind the last event each has seen. */
static void reopen_stream(struct watcher *w)
{
    struct err e;

    do {
        client_stream_close(take_ptr(&w->stream));
        poll(NULL, 0, RECONNECT_WAIT_MS);
    } while (open_stream(w, &e) < 0);
}

static int add_watch(struct watcher *w, const struct watch_flags *flags,
                     const struct watch_args *args, struct err *e)
{
    struct watch *watch = &w->watches[w->n];

    if (w->n == WATCHES_MAX)
        return err_set(e, ERR_LIMIT, "more than %d watches", WATCHES_MAX);
    *watch = (struct watch){.args = *args, .id = -1};
    int r = watch_create_request(flags, args, &w->arena, &watch->request, e);
    if (r < 0)
        return r;
    w->n++;
    w->live++;
    if (w->stream && send_create(w, watch, e) < 0)
        return 0; /* the connection is gone: reopen_stream sends it */
    return 0;
}

/*
 * Commands run for events.
 */

/* "NAME=" and the value quoted as Go does. */
static char *quoted_variable(const char *name, struct slice value)
{
    cleanup_buf struct buf text;

    buf_init(&text, ENV_VALUE_MAX);
    if (buf_printf(&text, "%s=", name) < 0 || go_quote(&text, value) < 0 || !buf_cstr(&text))
        return xasprintf("%s=", name);
    return xstrdup(buf_cstr(&text));
}

static int run_for_event(char **exec, int64_t revision, const Mvccpb__Event *event)
{
    bool deleted = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    cleanup_free char *rev = xasprintf("ETCD_WATCH_REVISION=%" PRId64, revision);
    cleanup_free char *type = xasprintf("ETCD_WATCH_EVENT_TYPE=\"%s\"", deleted ? "DELETE" : "PUT");
    cleanup_free char *key =
        quoted_variable("ETCD_WATCH_KEY", slice_of(event->kv->key.data, event->kv->key.len));
    cleanup_free char *value =
        quoted_variable("ETCD_WATCH_VALUE", slice_of(event->kv->value.data, event->kv->value.len));
    const char *const extra[] = {rev, type, key, value, NULL};
    struct err e;
    pid_t pid;

    fflush(stdout);
    if (child_start(exec, extra, &pid, &e) < 0) {
        fprintf(stderr, "command \"%s\" error (%s)\n", exec[0], e.msg);
        return CTL_ERROR;
    }
    int code = child_wait(pid);
    if (code != 0) {
        fprintf(stderr, "command \"%s\" error (exit status %d)\n", exec[0], code);
        return CTL_ERROR;
    }
    return CTL_OK;
}

static int run_for_events(const struct watch *watch, const Etcdserverpb__WatchResponse *r)
{
    int code = CTL_OK;

    for (size_t i = 0; i < r->n_events && code == CTL_OK; i++)
        if (r->events[i]->kv)
            code =
                run_for_event(watch->args.exec, r->header ? r->header->revision : 0, r->events[i]);
    return code;
}

/*
 * Answers.
 */

static struct watch *find_watch(struct watcher *w, const Etcdserverpb__WatchResponse *r)
{
    for (size_t i = 0; i < w->n; i++) {
        /* The server creates them in the order they were sent. */
        if (!w->watches[i].over && w->watches[i].id == (r->created ? -1 : r->watch_id))
            return &w->watches[i];
    }
    return NULL;
}

static void say_canceled(const Etcdserverpb__WatchResponse *r)
{
    const char *why = *r->cancel_reason ? r->cancel_reason : "";

    if (r->compact_revision)
        why = err_text(ERR_COMPACTED);
    else if (!*why)
        why = "etcdserver: watch canceled";
    fprintf(stderr, "watch was canceled (%s)\n", why);
}

static bool is_progress(const Etcdserverpb__WatchResponse *r)
{
    return r->n_events == 0 && !r->canceled && !r->created && r->compact_revision == 0 &&
           r->header && r->header->revision != 0;
}

static int show(struct watcher *w, struct watch *watch, const Etcdserverpb__WatchResponse *r)
{
    if (is_progress(r))
        printf("progress notify: %" PRId64 "\n", r->header->revision);
    int code = ctl_print(w->ctl, OUT_WATCH, &r->base, NULL);
    if (code == CTL_OK && watch->args.exec)
        code = run_for_events(watch, r);
    return code;
}

static int take_answer(struct watcher *w, const Etcdserverpb__WatchResponse *r)
{
    struct watch *watch = find_watch(w, r);

    /* Progress of all watches at once has no id. */
    if (!watch && r->watch_id == -1 && is_progress(r)) {
        int code = CTL_OK;
        for (size_t i = 0; i < w->n && code == CTL_OK; i++)
            if (!w->watches[i].over)
                code = show(w, &w->watches[i], r);
        return code;
    }
    if (!watch)
        return CTL_OK;
    if (r->created)
        watch->id = r->watch_id;
    if (r->n_events > 0 && r->events[r->n_events - 1]->kv)
        watch->request.start_revision = r->events[r->n_events - 1]->kv->mod_revision + 1;
    else if (is_progress(r))
        watch->request.start_revision = r->header->revision + 1;
    if (r->created && !r->canceled) {
        /* From now on means from here, also after a reconnect. */
        if (watch->request.start_revision == 0 && r->header)
            watch->request.start_revision = r->header->revision + 1;
        return CTL_OK;
    }
    if (r->canceled) {
        watch->over = true;
        w->live--;
        say_canceled(r);
    }
    return show(w, watch, r);
}

/* One answer, or what keeps it from coming. -EINTR: wake_fd. */
static int step(struct watcher *w, int wake_fd, int *ret_code)
{
    cleanup_response ProtobufCMessage *m = NULL;
    struct err e = {0};
    int r = client_stream_recv(w->stream, UINT64_MAX, wake_fd, &m, &e);

    if (r == 0)
        *ret_code = take_answer(w, (const void *)m);
    else if (r == -EINTR)
        return r;
    else if (r == 1 ||
             err_grpc(r) == GRPC_UNAVAILABLE) /* it may come back, or another may answer */
        reopen_stream(w);
    else {
        ctl_call_text(&e, r, client_stream_status(w->stream));
        *ret_code = ctl_error(CTL_ERROR, "%s", e.msg);
    }
    return 0;
}

/*
 * The two ways to watch.
 */

static int watch_once(struct watcher *w, const struct watch_flags *flags, int argc, char **argv)
{
    struct watch_args args;
    struct err e = {0};
    int code = CTL_OK, nexec = 0;

    for (char **at = w->ctl->exec; at && *at; at++)
        nexec++;
    if (watch_args_parse(argv, argc - nexec, w->ctl->exec, w->env_key, w->env_range, &args, &e) <
            0 ||
        add_watch(w, flags, &args, &e) < 0)
        return ctl_error(CTL_BAD_ARGS, "%s", e.msg);
    if (open_stream(w, &e) < 0)
        return ctl_error(CTL_ERROR, "%s", e.msg);
    while (code == CTL_OK && w->live > 0)
        step(w, -1, &code);
    if (code == CTL_OK)
        return ctl_error(CTL_INTERRUPTED, "watch is canceled by the server");
    return code;
}

static int take_line(struct watcher *w, struct slice line)
{
    struct watch_flags flags;
    struct watch_args args;
    enum watch_line kind;
    struct err e = {0};
    int r = watch_line_parse(&w->arena, line, w->env_key, w->env_range, &kind, &flags, &args, &e);

    if (r == 0 && kind == WATCH_LINE_WATCH) {
        r = add_watch(w, &flags, &args, &e);
        if (r < 0)
            fprintf(stderr, "Invalid command %.*s (%s)\n", (int)line.n, (const char *)line.p,
                    e.msg);
        return CTL_OK;
    }
    if (r == 0) {
        Etcdserverpb__WatchProgressRequest progress = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
        Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
        request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
        request.progress_request = &progress;
        send_request(w, &request, &e); /* lost with its connection: asked again by the user */
        return CTL_OK;
    }
    if (r == ERR_USAGE) {
        fprintf(stderr, "%s\n", e.msg);
        return CTL_OK;
    }
    return ctl_error(CTL_BAD_ARGS, "%s", e.msg);
}

/* What stdin has, line by line. */
static int take_input(struct watcher *w)
{
    char bytes[4096];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    int code = CTL_OK;

    if (n <= 0)
        return ctl_error(CTL_INVALID_INPUT, "Error reading watch request line: EOF");
    if (buf_append(&w->input, bytes, (size_t)n) < 0)
        return ctl_error(CTL_INVALID_INPUT, "line too long");
    for (uint8_t *end;
         code == CTL_OK && w->input.n > 0 && (end = memchr(w->input.p, '\n', w->input.n));) {
        size_t len = (size_t)(end - w->input.p);
        code = take_line(w, slice_of(w->input.p, len));
        buf_consume(&w->input, len + 1);
    }
    return code;
}

static int watch_lines(struct watcher *w)
{
    struct err e = {0};
    int code = CTL_OK;

    if (open_stream(w, &e) < 0)
        return ctl_error(CTL_ERROR, "%s", e.msg);
    while (code == CTL_OK)
        if (step(w, STDIN_FILENO, &code) == -EINTR)
            code = take_input(w);
    return code;
}

static int run_watch(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct watch_flags *f = (const void *)flags;
    struct watcher w = {.ctl = ctl,
                        .env_key = getenv("ETCDCTL_WATCH_KEY"),
                        .env_range = getenv("ETCDCTL_WATCH_RANGE_END")};
    int code = CTL_OK;

    w.c = ctl_client(ctl, &code);
    if (!w.c)
        return code;
    arena_init(&w.arena, WATCH_ARENA_MAX);
    buf_init(&w.input, WATCH_LINE_MAX);
    w.watches = xcalloc(WATCHES_MAX, sizeof *w.watches);
    code = f->interactive ? watch_lines(&w) : watch_once(&w, f, argc, argv);
    client_stream_close(w.stream);
    free(w.watches);
    buf_deinit(&w.input);
    arena_deinit(&w.arena);
    return code;
}

const struct command commands_watch[] = {
    {"watch", "<key or prefix> [range_end] [--] [exec-command arg1 arg2 ...]",
     "Watches events stream on keys or prefixes",
     "$ etcdctl watch foo\n"
     "$ etcdctl watch --prefix foo --rev 1\n"
     "$ etcdctl watch foo -- sh -c 'echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY'\n\n"
     "The command gets ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and\n"
     "ETCD_WATCH_VALUE, all but the revision quoted. The key may come from ETCDCTL_WATCH_KEY and\n"
     "ETCDCTL_WATCH_RANGE_END. With -i, lines like 'watch foo --prefix' and 'progress' are read\n"
     "from standard input.\n",
     watch_rows, sizeof(struct watch_flags), run_watch},
    {.name = NULL}};
