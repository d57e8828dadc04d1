#include "etcdctl/kv_request.h"

#include <stdio.h>

#define KV_ARENA_MAX (4u * 1024 * 1024)  /* the end of a prefix */
#define STDIN_MAX    (64u * 1024 * 1024) /* a value from stdin; servers take 1.5 MiB */

/* Everything on stdin, into out. */
static int read_stdin(struct buf *out)
{
    char bytes[16384];
    size_t n;

    while ((n = fread(bytes, 1, sizeof bytes, stdin)) > 0)
        if (buf_append(out, bytes, n) < 0)
            return ctl_error(CTL_BAD_ARGS, "the value on stdin is larger than %u bytes", STDIN_MAX);
    return CTL_OK;
}

static int put_call(struct ctl *ctl, const Etcdserverpb__PutRequest *request)
{
    const struct ctl_call call = {
        .path = "/etcdserverpb.KV/Put",
        .request = &request->base,
        .response = &etcdserverpb__put_response__descriptor,
    };

    return ctl_call_print(ctl, &call, OUT_PUT, NULL);
}

static int run_put(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct put_flags *f = (const void *)flags;
    cleanup_buf struct buf value;
    char empty[] = "";
    char *words[2] = {argc > 0 ? argv[0] : NULL, argc > 1 ? argv[1] : empty};
    bool from_stdin = argc == 1 && !f->ignore_value;
    Etcdserverpb__PutRequest request;
    struct err e;

    buf_init(&value, STDIN_MAX);
    if (kv_put_request(f, from_stdin ? 2 : argc, words, &request, &e) < 0)
        return ctl_bad_args(&e);
    if (from_stdin) {
        int code = read_stdin(&value);
        if (code != CTL_OK)
            return code;
        if (value.n == 0)
            return ctl_error(CTL_BAD_ARGS,
                             "put command needs 1 argument and input from stdin or 2 arguments");
        request.value = (ProtobufCBinaryData){value.n, value.p};
    }
    return put_call(ctl, &request);
}

static int run_get(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct get_flags *f = (const void *)flags;
    Etcdserverpb__RangeRequest request;
    struct arena arena;
    struct err e;

    arena_init(&arena, KV_ARENA_MAX);
    int r = kv_get_request(f, argc, argv, &arena, &request, &e);
    int code = r < 0 ? ctl_bad_args(&e) : CTL_OK;
    if (code == CTL_OK && f->count_only && ctl->out.format == &out_simple)
        code = ctl_error(CTL_BAD_ARGS, "--count-only is only for `--write-out=fields`");
    if (code == CTL_OK && f->print_value_only && ctl->out.format != &out_simple)
        code = ctl_error(CTL_BAD_ARGS, "print-value-only is only for `--write-out=simple`");
    if (code == CTL_OK) {
        const struct ctl_call call = {
            .path = "/etcdserverpb.KV/Range",
            .request = &request.base,
            .response = &etcdserverpb__range_response__descriptor,
            .idempotent = true,
        };
        ctl->out.value_only = f->print_value_only;
        code = ctl_call_print(ctl, &call, OUT_GET, NULL);
    }
    arena_deinit(&arena);
    return code;
}

static void warn_range(const char *from, const char *to)
{
    fprintf(stderr,
            "Warning: Keys between \"%s\" and \"%s\" will be deleted. Please interrupt the command "
            "within next 2 seconds to cancel. You can provide `--range` flag to avoid the delay.\n",
            from, to);
    sleep(2);
}

static int run_del(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct del_flags *f = (const void *)flags;
    Etcdserverpb__DeleteRangeRequest request;
    struct arena arena;
    struct err e;
    int code;

    arena_init(&arena, KV_ARENA_MAX);
    if (kv_del_request(f, argc, argv, &arena, &request, &e) < 0) {
        code = ctl_bad_args(&e);
    } else {
        const struct ctl_call call = {
            .path = "/etcdserverpb.KV/DeleteRange",
            .request = &request.base,
            .response = &etcdserverpb__delete_range_response__descriptor,
        };
        if (argc > 1 && !f->range)
            warn_range(argv[0], argv[1]);
        code = ctl_call_print(ctl, &call, OUT_DEL, NULL);
    }
    arena_deinit(&arena);
    return code;
}

const struct command commands_kv[] = {
    {"put", "<key> <value>", "Puts the given key into the store",
     "When <value> begins with '-', it is taken for a flag; '--' ends the flags:\n\n"
     "$ etcdctl put <key> -- <value>\n"
     "$ etcdctl put -- <key> <value>\n\n"
     "If <value> isn't given and '--ignore-value' is not set, it is read from standard input:\n\n"
     "$ cat file | etcdctl put <key>\n",
     put_rows, sizeof(struct put_flags), run_put},
    {"get", "<key> [range_end]", "Gets the key or a range of keys",
     "$ etcdctl get foo\n"
     "$ etcdctl get foo fop                      # keys from foo up to, not including, fop\n"
     "$ etcdctl get --prefix foo --keys-only\n"
     "$ etcdctl get --from-key \"\" --limit 10     # the first ten keys\n",
     get_rows, sizeof(struct get_flags), run_get},
    {"del", "<key> [range_end]", "Removes the specified key or range of keys [key, range_end)",
     "$ etcdctl del foo\n"
     "$ etcdctl del --prefix foo --prev-kv\n",
     del_rows, sizeof(struct del_flags), run_del},
    {.name = NULL}};
