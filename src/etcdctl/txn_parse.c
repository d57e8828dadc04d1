#include "etcdctl/txn_parse.h"

#include "etcdctl/goquote.h"
#include "etcdctl/gotext.h"
#include "etcdctl/kv_request.h"
#include "etcdctl/words.h"

static struct slice trim(struct slice s)
{
    static const char blanks[] = " \t\n\v\f\r";

    while (s.n > 0 && memchr(blanks, s.p[0], sizeof blanks - 1))
        s = slice_skip(s, 1);
    while (s.n > 0 && memchr(blanks, s.p[s.n - 1], sizeof blanks - 1))
        s.n--;
    return s;
}

static int full(struct err *e)
{
    return err_set(e, ERR_LIMIT, "transaction too large");
}

/* How much of a line an error shows. */
#define SHOWN(line) (int)MIN((line).n, 200u), (const char *)(line).p

/* A quoted string from the front of *s into the arena. */
static int take_quoted(struct arena *a, struct slice *s, ProtobufCBinaryData *ret)
{
    cleanup_buf struct buf text;
    struct slice rest = trim(*s);

    buf_init(&text, rest.n + 1);
    int r = go_unquote(&rest, &text);
    if (r < 0)
        return r;
    ret->data = arena_dup(a, text.n ? (const void *)text.p : "", text.n);
    ret->len = text.n;
    *s = rest;
    return ret->data ? 0 : ERR_LIMIT;
}

static struct slice take_word(struct slice *s)
{
    struct slice rest = trim(*s);
    size_t n = 0;

    while (n < rest.n && !memchr(" \t", rest.p[n], 2))
        n++;
    *s = slice_skip(rest, n);
    return slice_of(rest.p, n);
}

struct target {
    const char *name;
    Etcdserverpb__Compare__CompareTarget target;
    Etcdserverpb__Compare__TargetUnionCase member;
    unsigned base; /* of the number; 0: bytes */
};
#define TARGET(word, which, number_base)                                                           \
    {                                                                                              \
        word, ETCDSERVERPB__COMPARE__COMPARE_TARGET__##which,                                      \
            ETCDSERVERPB__COMPARE__TARGET_UNION_##which, number_base                               \
    }
/* The union's names are longer than the targets'. */
#define ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE                                                 \
    ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION
#define ETCDSERVERPB__COMPARE__TARGET_UNION_MOD ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION
static const struct target targets[] = {
    TARGET("ver", VERSION, 10),   TARGET("version", VERSION, 10), TARGET("c", CREATE, 10),
    TARGET("create", CREATE, 10), TARGET("m", MOD, 10),           TARGET("mod", MOD, 10),
    TARGET("val", VALUE, 0),      TARGET("value", VALUE, 0),      TARGET("lease", LEASE, 16)};

static const struct target *find_target(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(targets); i++)
        if (slice_eq_str(name, targets[i].name))
            return &targets[i];
    return NULL;
}

static int find_result(struct slice op, Etcdserverpb__Compare__CompareResult *ret)
{
    static const struct {
        const char *op;
        Etcdserverpb__Compare__CompareResult result;
    } ops[] = {{"=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL},
               {"!=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL},
               {">", ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER},
               {"<", ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS}};

    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (slice_eq_str(op, ops[i].op)) {
            *ret = ops[i].result;
            return 0;
        }
    return -ENOENT;
}

/* Stores the operand in the member of the union that the target has. */
static int set_operand(const struct target *t, ProtobufCBinaryData value, struct slice line,
                       Etcdserverpb__Compare *c, struct err *e)
{
    struct err why = {0};

    c->target = t->target;
    c->target_union_case = t->member;
    if (t->base == 0) {
        c->value = value;
        return 0;
    }
    /* All numbers of the union share one place. */
    if (memchr(value.data, 0, value.len) ||
        go_parse_int((const char *)value.data, t->base, &c->version, &why) < 0)
        return err_set(e, ERR_USAGE, "invalid txn compare request: %.*s (%s)", SHOWN(line),
                       *why.msg ? why.msg : "invalid number");
    return 0;
}

/* Reads `"key") op "value"`, the part behind the parenthesis. */
static int compare_parts(struct arena *a, struct slice rest, ProtobufCBinaryData *key,
                         struct slice *op, ProtobufCBinaryData *value)
{
    int r = take_quoted(a, &rest, key);

    if (r < 0)
        return r;
    if (rest.n == 0 || rest.p[0] != ')')
        return -EINVAL;
    rest = slice_skip(rest, 1);
    *op = take_word(&rest);
    return take_quoted(a, &rest, value);
}

int txn_parse_compare(struct arena *a, struct slice line, Etcdserverpb__Compare **ret,
                      struct err *e)
{
    Etcdserverpb__Compare *c = arena_alloc(a, sizeof *c);
    const uint8_t *paren = line.n ? memchr(line.p, '(', line.n) : NULL;
    ProtobufCBinaryData value;
    struct slice op;

    if (!c)
        return full(e);
    etcdserverpb__compare__init(c);
    if (!paren)
        return err_set(e, ERR_USAGE, "malformed comparison: %.*s", SHOWN(line));
    size_t at = (size_t)(paren - line.p);
    int r = compare_parts(a, slice_skip(line, at + 1), &c->key, &op, &value);
    if (r == ERR_LIMIT)
        return full(e);
    if (r < 0)
        return err_set(e, ERR_USAGE,
                       "malformed comparison: %.*s (expected TARGET(\"KEY\") OP \"VALUE\")",
                       SHOWN(line));
    const struct target *t = find_target(slice_of(line.p, at));
    if (!t)
        return err_set(e, ERR_USAGE, "malformed comparison: %.*s (unknown target %.*s)",
                       SHOWN(line), (int)MIN(at, 40u), (const char *)line.p);
    if (find_result(op, &c->result) < 0)
        return err_set(e, ERR_USAGE,
                       "malformed comparison: %.*s (unknown operator %.*s, expected one of = != < "
                       ">)",
                       SHOWN(line), (int)MIN(op.n, 40u), (const char *)op.p);
    *ret = c;
    return set_operand(t, value, line, c, e);
}

/*
 * Requests: the line is a little command line of its own.
 */

struct op_line {
    struct arena *a;
    struct slice line;
    int argc;
    char **argv; /* the command's name first */
};

/* Consumes the flags. The strings they own move to the arena, so that nothing has to be freed. */
static int parse_flags(struct op_line *l, const struct opt *rows, void *flags, char **ret_args,
                       int *ret_n, struct err *e)
{
    struct err why;
    struct opt_set set;
    bool help = false;

    opt_init(&set, rows, flags, NULL);
    int r = opt_parse_args(&set, l->argc, l->argv, false, ret_args, ret_n, &help, &why);
    for (const struct opt *row = rows; row->type != OPT_TYPE_END; row++) {
        char **field = (char **)(void *)((char *)flags + row->offset);
        if (row->type != OPT_TYPE_STR || !*field)
            continue;
        char *copy = arena_dup(l->a, *field, strlen(*field));
        free(*field);
        *field = copy;
        if (!copy)
            return full(e);
    }
    if (r < 0 || help)
        return err_set(e, ERR_USAGE, "invalid txn request: %.*s%s%s%s", SHOWN(l->line),
                       r < 0 ? " (" : "", r < 0 ? why.msg : "", r < 0 ? ")" : "");
    return 0;
}

static int op_put(struct op_line *l, char **args, Etcdserverpb__RequestOp *op, struct err *e)
{
    struct put_flags flags = {0};
    int n;
    int r = parse_flags(l, put_rows, &flags, args, &n, e);

    if (r < 0)
        return r;
    op->request_put = arena_alloc(l->a, sizeof *op->request_put);
    if (!op->request_put)
        return full(e);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    return kv_put_request(&flags, n, args, op->request_put, e);
}

static int op_get(struct op_line *l, char **args, Etcdserverpb__RequestOp *op, struct err *e)
{
    struct get_flags flags = {0};
    int n;
    int r = parse_flags(l, get_rows, &flags, args, &n, e);

    if (r < 0)
        return r;
    op->request_range = arena_alloc(l->a, sizeof *op->request_range);
    if (!op->request_range)
        return full(e);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    return kv_get_request(&flags, n, args, l->a, op->request_range, e);
}

static int op_del(struct op_line *l, char **args, Etcdserverpb__RequestOp *op, struct err *e)
{
    struct del_flags flags = {0};
    int n;
    int r = parse_flags(l, del_rows, &flags, args, &n, e);

    if (r < 0)
        return r;
    op->request_delete_range = arena_alloc(l->a, sizeof *op->request_delete_range);
    if (!op->request_delete_range)
        return full(e);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    return kv_del_request(&flags, n, args, l->a, op->request_delete_range, e);
}

static const struct {
    const char *name;
    int (*parse)(struct op_line *l, char **args, Etcdserverpb__RequestOp *op, struct err *e);
} ops[] = {{"put", op_put}, {"get", op_get}, {"del", op_del}};

int txn_parse_op(struct arena *a, struct slice line, Etcdserverpb__RequestOp **ret, struct err *e)
{
    struct op_line l = {.a = a, .line = line};
    int r = words_split(a, line, &l.argv, &l.argc, e);

    if (r < 0)
        return r;
    if (l.argc < 2)
        return err_set(e, ERR_USAGE, "invalid txn compare request: %.*s", SHOWN(line));
    *ret = arena_alloc(a, sizeof **ret);
    char **args = arena_alloc(a, (size_t)l.argc * sizeof *args);
    if (!*ret || !args)
        return full(e);
    etcdserverpb__request_op__init(*ret);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (strcmp(l.argv[0], ops[i].name) == 0)
            return ops[i].parse(&l, args, *ret, e);
    return err_set(e, ERR_USAGE, "invalid txn request: %.*s", SHOWN(line));
}

/*
 * The three blocks.
 */

void txn_parser_init(struct txn_parser *p, struct arena *a)
{
    *p = (struct txn_parser){.a = a};
    etcdserverpb__txn_request__init(&p->request);
}

/* Room for one more in an arena-held array of pointers that doubles at powers of two. */
static int grow(struct arena *a, void ***items, size_t n, struct err *e)
{
    if (n >= TXN_ITEMS_MAX)
        return full(e);
    if (n & (n - 1)) /* not at a power of two: there is room */
        return 0;
    void **bigger = arena_alloc(a, (n ? 2 * n : 1) * sizeof *bigger);
    if (!bigger)
        return full(e);
    if (n > 0)
        memcpy(bigger, *items, n * sizeof *bigger);
    *items = bigger;
    return 0;
}

static int add_compare(struct txn_parser *p, struct slice line, struct err *e)
{
    Etcdserverpb__TxnRequest *t = &p->request;
    void **items = (void **)t->compare;
    int r = grow(p->a, &items, t->n_compare, e);

    if (r < 0)
        return r;
    t->compare = (Etcdserverpb__Compare **)items;
    r = txn_parse_compare(p->a, line, &t->compare[t->n_compare], e);
    t->n_compare += r == 0;
    return r;
}

static int add_op(struct txn_parser *p, struct slice line, Etcdserverpb__RequestOp ***list,
                  size_t *n, struct err *e)
{
    void **items = (void **)*list;
    int r = grow(p->a, &items, *n, e);

    if (r < 0)
        return r;
    *list = (Etcdserverpb__RequestOp **)items;
    r = txn_parse_op(p->a, line, &(*list)[*n], e);
    *n += r == 0;
    return r;
}

int txn_parser_line(struct txn_parser *p, struct slice line, struct err *e)
{
    Etcdserverpb__TxnRequest *t = &p->request;

    assert(p->block != TXN_DONE);
    line = trim(line);
    if (line.n == 0) {
        p->block++;
        return 0;
    }
    if (p->block == TXN_COMPARES)
        return add_compare(p, line, e);
    if (p->block == TXN_SUCCESS)
        return add_op(p, line, &t->success, &t->n_success, e);
    return add_op(p, line, &t->failure, &t->n_failure, e);
}
