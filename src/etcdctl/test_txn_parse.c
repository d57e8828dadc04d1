#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "etcdctl/txn_parse.h"
#include "etcdctl/words.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 4u * 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(&arena);
    return 0;
}

static bool bytes_are(ProtobufCBinaryData b, const char *s)
{
    return slice_eq_str(slice_of(b.data, b.len), s);
}

static void words_split_as_argify_does(void **state)
{
    static const struct {
        const char *line;
        const char *words[5];
    } cases[] = {
        {"", {NULL}},
        {"  put a   b ", {"put", "a", "b"}},
        {"put \"a b\" 'c d'", {"put", "a b", "c d"}},
        {"put a'b \"x\"y", {"put", "a'b", "x", "y"}},
        {"put \"\" ''", {"put", "", ""}},
        {"put \"tab\\t\\x41\"", {"put", "tab\tA"}},
        {"put \"open", {"put", "open"}},
        {"put 'open", {"put", "open"}},
        {"a\tb", {"a", "b"}},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e;
        char **words;
        int n;
        assert_int_equal(words_split(&arena, slice_str(cases[i].line), &words, &n, &e), 0);
        for (int k = 0; k < n; k++)
            assert_string_equal(words[k], cases[i].words[k]);
        assert_null(cases[i].words[n]);
        assert_null(words[n]);
    }
}

static void words_refuse_bad_escapes_and_zero_bytes(void **state)
{
    struct err e;
    char **words;
    int n;

    assert_int_equal(words_split(&arena, SLICE_LIT("put \"\\q\""), &words, &n, &e), ERR_USAGE);
    assert_int_equal(words_split(&arena, SLICE_LIT("put \"\\x00\""), &words, &n, &e), ERR_USAGE);
    assert_int_equal(words_split(&arena, SLICE_LIT("put a\0b"), &words, &n, &e), ERR_USAGE);
}

static void compares_are_read(void **state)
{
    Etcdserverpb__Compare *c;
    struct err e;

    assert_int_equal(txn_parse_compare(&arena, SLICE_LIT("mod(\"k 1\") > \"12\""), &c, &e), 0);
    assert_true(bytes_are(c->key, "k 1"));
    assert_int_equal(c->target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD);
    assert_int_equal(c->result, ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER);
    assert_int_equal(c->target_union_case, ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION);
    assert_int_equal(c->mod_revision, 12);
    assert_int_equal(txn_parse_compare(&arena, SLICE_LIT("val(`k`) != \"a\\x00b\""), &c, &e), 0);
    assert_int_equal(c->target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE);
    assert_int_equal(c->result, ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL);
    assert_int_equal(c->value.len, 3);
    assert_int_equal(txn_parse_compare(&arena, SLICE_LIT("lease(\"k\") = \"1f\""), &c, &e), 0);
    assert_int_equal(c->lease, 0x1f);
}

static void bad_compares_are_refused_in_words(void **state)
{
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"foo", "malformed comparison: foo"},
        {"bogus(\"a\") = \"0\"",
         "malformed comparison: bogus(\"a\") = \"0\" (unknown target bogus)"},
        {"mod(\"a\") > \"x\"", "invalid txn compare request: mod(\"a\") > \"x\" (strconv.ParseInt: "
                               "parsing \"x\": invalid "
                               "syntax)"},
        {"mod(\"a\") ~ \"0\"",
         "malformed comparison: mod(\"a\") ~ \"0\" (unknown operator ~, expected one of = != < >)"},
        {"mod(a) = \"0\"",
         "malformed comparison: mod(a) = \"0\" (expected TARGET(\"KEY\") OP \"VALUE\")"},
        {"mod(\"a\")=\"0\"",
         "malformed comparison: mod(\"a\")=\"0\" (expected TARGET(\"KEY\") OP \"VALUE\")"},
        {"mod(\"a\"", "malformed comparison: mod(\"a\" (expected TARGET(\"KEY\") OP \"VALUE\")"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Etcdserverpb__Compare *c;
        struct err e = {0};
        assert_int_equal(txn_parse_compare(&arena, slice_str(cases[i].line), &c, &e), ERR_USAGE);
        assert_string_equal(e.msg, cases[i].want);
    }
}

static void requests_take_the_commands_flags(void **state)
{
    Etcdserverpb__RequestOp *op;
    struct err e;

    assert_int_equal(txn_parse_op(&arena, SLICE_LIT("put k v --lease=1f --prev-kv"), &op, &e), 0);
    assert_int_equal(op->request_case, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT);
    assert_true(bytes_are(op->request_put->key, "k"));
    assert_true(bytes_are(op->request_put->value, "v"));
    assert_int_equal(op->request_put->lease, 0x1f);
    assert_true(op->request_put->prev_kv);
    assert_int_equal(txn_parse_op(&arena, SLICE_LIT("get --prefix a --sort-by=mod"), &op, &e),
                     ERR_UNIMPLEMENTED);
    assert_int_equal(
        txn_parse_op(&arena, SLICE_LIT("get --prefix ab --order=descend --limit 3"), &op, &e), 0);
    assert_true(bytes_are(op->request_range->range_end, "ac"));
    assert_int_equal(op->request_range->limit, 3);
    assert_int_equal(op->request_range->sort_order,
                     ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND);
    assert_int_equal(txn_parse_op(&arena, SLICE_LIT("del --from-key \"\""), &op, &e), 0);
    assert_int_equal(op->request_delete_range->key.len, 1);
    assert_int_equal(op->request_delete_range->range_end.len, 1);
}

static void a_prefix_of_highest_bytes_ends_nowhere(void **state)
{
    Etcdserverpb__RequestOp *op;
    struct err e;

    assert_int_equal(txn_parse_op(&arena, SLICE_LIT("get --prefix \"a\\xff\\xff\""), &op, &e), 0);
    assert_true(bytes_are(op->request_range->range_end, "b"));
    assert_int_equal(txn_parse_op(&arena, SLICE_LIT("get --prefix \"\\xff\""), &op, &e), 0);
    assert_int_equal(op->request_range->range_end.len, 1);
    assert_int_equal(op->request_range->range_end.data[0], 0);
}

static void bad_requests_are_refused(void **state)
{
    static const char *const lines[] = {"foo a",       "put",
                                        "put a",       "get a --bogus",
                                        "put a -1",    "put a b --lease=zz",
                                        "del a b c",   "get a b --prefix",
                                        "put --help x"};

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        Etcdserverpb__RequestOp *op;
        struct err e;
        assert_int_equal(txn_parse_op(&arena, slice_str(lines[i]), &op, &e), ERR_USAGE);
    }
}

static void empty_lines_end_the_blocks(void **state)
{
    static const char *const lines[] = {"ver(\"a\") = \"1\"\n",
                                        " val(\"b\") = \"2\" ",
                                        "",
                                        "put a 1",
                                        "get a",
                                        "del a",
                                        "\n",
                                        "get b",
                                        "  "};
    struct txn_parser p;
    struct err e;

    txn_parser_init(&p, &arena);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_int_not_equal(p.block, TXN_DONE);
        assert_int_equal(txn_parser_line(&p, slice_str(lines[i]), &e), 0);
    }
    assert_int_equal(p.block, TXN_DONE);
    assert_int_equal(p.request.n_compare, 2);
    assert_int_equal(p.request.n_success, 3);
    assert_int_equal(p.request.n_failure, 1);
    assert_true(bytes_are(p.request.compare[1]->key, "b"));
    assert_int_equal(p.request.success[2]->request_case,
                     ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE);
}

static void a_full_arena_is_told(void **state)
{
    struct arena small;
    struct txn_parser p;
    struct err e;
    int r = 0;

    arena_init(&small, 4096);
    txn_parser_init(&p, &small);
    for (int i = 0; i < 1000 && r == 0; i++)
        r = txn_parser_line(&p, SLICE_LIT("ver(\"a\") = \"1\""), &e);
    assert_int_equal(r, ERR_LIMIT);
    arena_deinit(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_split_as_argify_does),
        cmocka_unit_test(words_refuse_bad_escapes_and_zero_bytes),
        cmocka_unit_test(compares_are_read),
        cmocka_unit_test(bad_compares_are_refused_in_words),
        cmocka_unit_test(requests_take_the_commands_flags),
        cmocka_unit_test(a_prefix_of_highest_bytes_ends_nowhere),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(empty_lines_end_the_blocks),
        cmocka_unit_test(a_full_arena_is_told),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
