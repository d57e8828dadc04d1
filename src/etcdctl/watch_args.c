#include "etcdctl/watch_args.h"

#include "etcdctl/kv_request.h"
#include "etcdctl/words.h"

const struct opt watch_rows[] = {
    OPT_BOOL("interactive", struct watch_flags, interactive, .letter = 'i',
             .help = "Interactive mode"),
    OPT_BOOL("prefix", struct watch_flags, prefix, .help = "Watch on a prefix if prefix is set"),
    OPT_I64("rev", struct watch_flags, rev, .help = "Revision to start watching"),
    OPT_BOOL("prev-kv", struct watch_flags, prev_kv,
             .help = "get the previous key-value pair before the event happens"),
    OPT_BOOL("progress-notify", struct watch_flags, progress_notify,
             .help = "get periodic watch progress notification from server"),
    OPT_END};

static bool is_set(const char *s)
{
    return s && *s;
}

char **watch_args_exec(int *argc, char **argv)
{
    for (int i = 0; i < *argc; i++)
        if (strcmp(argv[i], "--") == 0) {
            *argc = i;
            return argv + i + 1;
        }
    return NULL;
}

int watch_args_parse(char **words, int n, char **exec, const char *env_key, const char *env_range,
                     struct watch_args *ret, struct err *e)
{
    *ret = (struct watch_args){0};
    if (exec && !exec[0])
        return err_set(e, ERR_USAGE,
                       "bad number of arguments (found separator --, but no commands)");
    if (is_set(env_key) && n > 0)
        return err_set(e, ERR_USAGE, "bad number of arguments (found conflicting environment key)");
    if (!is_set(env_key) && is_set(env_range))
        return err_set(e, ERR_USAGE,
                       "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=\"%s\"",
                       env_range);
    if (!is_set(env_key) && (n < 1 || n > 2))
        return err_set(e, ERR_USAGE, "bad number of arguments");
    ret->key = is_set(env_key) ? env_key : words[0];
    if (is_set(env_key))
        ret->range_end = is_set(env_range) ? env_range : NULL;
    else
        ret->range_end = n > 1 ? words[1] : NULL;
    ret->exec = exec;
    return 0;
}

static int parse_watch_words(struct arena *a, int argc, char **argv, const char *env_key,
                             const char *env_range, struct watch_flags *flags,
                             struct watch_args *ret, struct err *e)
{
    char **exec = watch_args_exec(&argc, argv);
    char **words = arena_alloc(a, ((size_t)argc + 1) * sizeof *words);
    struct opt_set set;
    struct err why;
    bool help = false;
    int n = 0;

    if (!words)
        return err_set(e, ERR_CONFIG, "line too long");
    opt_init(&set, watch_rows, flags, NULL); /* its flags own no memory */
    int r = opt_parse_args(&set, argc, argv, false, words, &n, &help, &why);
    if (r == 0)
        r = watch_args_parse(words, n, exec, env_key, env_range, ret, &why);
    return r < 0 ? err_set(e, ERR_CONFIG, "%s", why.msg) : 0;
}

int watch_line_parse(struct arena *a, struct slice line, const char *env_key, const char *env_range,
                     enum watch_line *ret_line, struct watch_flags *flags, struct watch_args *ret,
                     struct err *e)
{
    int shown = (int)MIN(line.n, 300u);
    const char *text = (const char *)line.p;
    char **argv;
    int argc;

    *flags = (struct watch_flags){0};
    int r = words_split(a, line, &argv, &argc, e);
    if (r < 0)
        return r;
    if (argc < 1)
        return err_set(e, ERR_USAGE, "Invalid command: %.*s (watch and progress supported)", shown,
                       text);
    if (strcmp(argv[0], "progress") == 0) {
        *ret_line = WATCH_LINE_PROGRESS;
        return 0;
    }
    if (strcmp(argv[0], "watch") != 0)
        return err_set(e, ERR_USAGE, "Invalid command %.*s (only support watch)", shown, text);
    if (argc < 2 && !is_set(env_key))
        return err_set(e, ERR_USAGE, "Invalid command %.*s (command type or key is not provided)",
                       shown, text);
    *ret_line = WATCH_LINE_WATCH;
    return parse_watch_words(a, argc, argv, env_key, env_range, flags, ret, e);
}

int watch_create_request(const struct watch_flags *f, const struct watch_args *args,
                         struct arena *a, Etcdserverpb__WatchCreateRequest *ret, struct err *e)
{
    static uint8_t zero_byte[1];

    etcdserverpb__watch_create_request__init(ret);
    if (args->range_end && f->prefix)
        return err_set(e, ERR_USAGE, "`range_end` and `--prefix` are mutually exclusive");
    ret->key = CTL_BYTES(args->key);
    if (args->range_end)
        ret->range_end = CTL_BYTES(args->range_end);
    if (f->prefix) {
        ret->range_end = kv_prefix_end(a, slice_str(args->key));
        if (!ret->range_end.data)
            return err_set(e, ERR_LIMIT, "key too long");
    }
    /* "Every key" is written as a range that begins at the smallest key there can be. */
    if (ret->key.len == 0) {
        ret->key = (ProtobufCBinaryData){1, zero_byte};
        if (f->prefix)
            ret->range_end = (ProtobufCBinaryData){1, zero_byte};
    }
    ret->start_revision = f->rev;
    ret->prev_kv = f->prev_kv;
    ret->progress_notify = f->progress_notify;
    return 0;
}
