#include "etcdctl/kv_request.h"

#include "etcdctl/gotext.h"

const struct opt put_rows[] = {
    OPT_STR("lease", struct put_flags, lease, .def = "0", .arg = "ID",
            .help = "lease ID (in hexadecimal) to attach to the key"),
    OPT_BOOL("prev-kv", struct put_flags, prev_kv,
             .help = "return the previous key-value pair before modification"),
    OPT_BOOL("ignore-value", struct put_flags, ignore_value,
             .help = "updates the key using its current value"),
    OPT_BOOL("ignore-lease", struct put_flags, ignore_lease,
             .help = "updates the key using its current lease"),
    OPT_END};

const struct opt get_rows[] = {
    OPT_STR("consistency", struct get_flags, consistency, .def = "l",
            .help = "Linearizable(l) or Serializable(s)"),
    OPT_STR("order", struct get_flags, order, .def = "",
            .help = "Order of results; ASCEND or DESCEND (ASCEND by default)"),
    OPT_STR("sort-by", struct get_flags, sort_by, .def = "",
            .help = "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION"),
    OPT_I64("limit", struct get_flags, limit, .help = "Maximum number of results"),
    OPT_BOOL("prefix", struct get_flags, prefix, .help = "Get keys with matching prefix"),
    OPT_BOOL("from-key", struct get_flags, from_key,
             .help = "Get keys that are greater than or equal to the given key"),
    OPT_I64("rev", struct get_flags, rev, .help = "Specify the kv revision"),
    OPT_BOOL("keys-only", struct get_flags, keys_only, .help = "Get only the keys"),
    OPT_BOOL("count-only", struct get_flags, count_only,
             .help = "Get only the count (with --write-out=fields or json)"),
    OPT_BOOL("print-value-only", struct get_flags, print_value_only,
             .help = "Only write values when using the \"simple\" output format"),
    OPT_I64("min-create-rev", struct get_flags, min_create_rev,
            .help = "Only keys created at this revision or later"),
    OPT_I64("max-create-rev", struct get_flags, max_create_rev,
            .help = "Only keys created at this revision or before"),
    OPT_I64("min-mod-rev", struct get_flags, min_mod_rev,
            .help = "Only keys last changed at this revision or later"),
    OPT_I64("max-mod-rev", struct get_flags, max_mod_rev,
            .help = "Only keys last changed at this revision or before"),
    OPT_END};

const struct opt del_rows[] = {
    OPT_BOOL("prefix", struct del_flags, prefix, .help = "delete keys with matching prefix"),
    OPT_BOOL("from-key", struct del_flags, from_key,
             .help = "delete keys that are greater than or equal to the given key"),
    OPT_BOOL("prev-kv", struct del_flags, prev_kv, .help = "return deleted key-value pairs"),
    OPT_BOOL("range", struct del_flags, range,
             .help = "delete the range of keys [key, range_end) without a warning"),
    OPT_END};

int kv_put_request(const struct put_flags *f, int argc, char **argv, Etcdserverpb__PutRequest *ret,
                   struct err *e)
{
    struct err why;

    etcdserverpb__put_request__init(ret);
    if (argc > 1 && f->ignore_value)
        return err_set(e, ERR_USAGE,
                       "put command needs only 1 argument when 'ignore-value' is set");
    if (argc < 1 || (argc < 2 && !f->ignore_value))
        return err_set(e, ERR_USAGE,
                       "put command needs 1 argument and input from stdin or 2 arguments");
    if (go_parse_int(f->lease, 16, &ret->lease, &why) < 0)
        return err_set(e, ERR_USAGE, "bad lease ID (%s), expecting ID in Hex", why.msg);
    ret->key = CTL_BYTES(argv[0]);
    if (!f->ignore_value)
        ret->value = CTL_BYTES(argv[1]);
    ret->prev_kv = f->prev_kv;
    ret->ignore_value = f->ignore_value;
    ret->ignore_lease = f->ignore_lease;
    return 0;
}

/* From here on: every key. */
static uint8_t zero_byte[1];
static const ProtobufCBinaryData from_here = {1, zero_byte};

ProtobufCBinaryData kv_prefix_end(struct arena *a, struct slice prefix)
{
    uint8_t *end = arena_dup(a, prefix.p, prefix.n);

    if (!end)
        return (ProtobufCBinaryData){0, NULL};
    for (size_t n = prefix.n; n > 0; n--)
        if (end[n - 1] < 0xff) {
            end[n - 1]++;
            return (ProtobufCBinaryData){n, end};
        }
    return from_here;
}

/* Key and end of the range that the words name. */
static int range_of(int argc, char **argv, bool prefix, bool from_key, struct arena *a,
                    ProtobufCBinaryData *ret_key, ProtobufCBinaryData *ret_end, struct err *e)
{
    bool wide = prefix || from_key;

    if (prefix && from_key)
        return err_set(e, ERR_USAGE,
                       "`--prefix` and `--from-key` cannot be set at the same time, choose one");
    if (argc > 1 && wide)
        return err_set(e, ERR_USAGE,
                       "too many arguments, only accept one argument when `--prefix` or "
                       "`--from-key` is set");
    *ret_key = CTL_BYTES(argv[0]);
    if (argc > 1)
        *ret_end = CTL_BYTES(argv[1]);
    if (wide && ret_key->len == 0) {
        *ret_key = from_here;
        *ret_end = from_here;
    } else if (from_key) {
        *ret_end = from_here;
    } else if (prefix) {
        *ret_end = kv_prefix_end(a, slice_of(ret_key->data, ret_key->len));
        if (!ret_end->data)
            return err_set(e, ERR_LIMIT, "key too long");
    }
    return 0;
}

struct word {
    const char *text;
    int value;
};

/* Looks a word up without regard to case; "" is the first row. */
static int word_find(const struct word *words, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(words[i].text, text) == 0)
            return words[i].value;
    return -1;
}

static int sort_of(const struct get_flags *f, Etcdserverpb__RangeRequest *ret, struct err *e)
{
    static const struct word orders[] = {
        {"", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE},
        {"ASCEND", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND},
        {"DESCEND", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND}};
    static const struct word targets[] = {
        {"", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY},
        {"KEY", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY},
        {"CREATE", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE},
        {"MODIFY", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD},
        {"VALUE", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE},
        {"VERSION", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION}};
    int order = word_find(orders, ARRAY_LEN(orders), f->order);
    int target = word_find(targets, ARRAY_LEN(targets), f->sort_by);

    if (order < 0)
        return err_set(e, ERR_UNIMPLEMENTED, "bad sort order %s", f->order);
    if (target < 0)
        return err_set(e, ERR_UNIMPLEMENTED, "bad sort target %s", f->sort_by);
    /* Answers come in key order anyway; asking for it would make the server sort them all. */
    if (target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY &&
        order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND)
        order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    ret->sort_order = (Etcdserverpb__RangeRequest__SortOrder)order;
    ret->sort_target = (Etcdserverpb__RangeRequest__SortTarget)target;
    return 0;
}

static int consistency_of(const char *word, Etcdserverpb__RangeRequest *ret, struct err *e)
{
    ret->serializable = strcmp(word, "s") == 0;
    if (!ret->serializable && strcmp(word, "l") != 0)
        return err_set(e, ERR_UNIMPLEMENTED, "unknown consistency flag \"%s\"", word);
    return 0;
}

int kv_get_request(const struct get_flags *f, int argc, char **argv, struct arena *a,
                   Etcdserverpb__RangeRequest *ret, struct err *e)
{
    etcdserverpb__range_request__init(ret);
    if (argc < 1)
        return err_set(e, ERR_USAGE,
                       "get command needs one argument as key and an optional argument as "
                       "range_end");
    if (f->keys_only && f->count_only)
        return err_set(
            e, ERR_USAGE,
            "`--keys-only` and `--count-only` cannot be set at the same time, choose one");
    int r = range_of(argc, argv, f->prefix, f->from_key, a, &ret->key, &ret->range_end, e);
    if (r == 0)
        r = consistency_of(f->consistency, ret, e);
    if (r == 0)
        r = sort_of(f, ret, e);
    ret->limit = f->limit;
    ret->revision = f->rev > 0 ? f->rev : 0;
    ret->keys_only = f->keys_only;
    ret->count_only = f->count_only;
    ret->min_create_revision = f->min_create_rev;
    ret->max_create_revision = f->max_create_rev;
    ret->min_mod_revision = f->min_mod_rev;
    ret->max_mod_revision = f->max_mod_rev;
    return r;
}

int kv_del_request(const struct del_flags *f, int argc, char **argv, struct arena *a,
                   Etcdserverpb__DeleteRangeRequest *ret, struct err *e)
{
    etcdserverpb__delete_range_request__init(ret);
    if (argc < 1 || argc > 2)
        return err_set(e, ERR_USAGE,
                       "del command needs one argument as key and an optional argument as "
                       "range_end");
    ret->prev_kv = f->prev_kv;
    return range_of(argc, argv, f->prefix, f->from_key, a, &ret->key, &ret->range_end, e);
}
