#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "etcdctl/watch_args.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 1u * 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(&arena);
    return 0;
}

/* Lines of watch -i, or command lines with "watch" in front: the two mean the same. */
static int parse(const char *line, const char *env_key, const char *env_range,
                 struct watch_flags *flags, struct watch_args *args, struct err *e)
{
    enum watch_line kind;

    return watch_line_parse(&arena, slice_str(line), env_key, env_range, &kind, flags, args, e);
}

static void words_and_environment_name_the_keys(void **state)
{
    static const struct {
        const char *line, *env_key, *env_range;
        const char *key, *end, *exec;
    } cases[] = {
        {"watch foo", NULL, NULL, "foo", NULL, NULL},
        {"watch foo bar", NULL, NULL, "foo", "bar", NULL},
        {"watch foo --rev 1 bar", NULL, NULL, "foo", "bar", NULL},
        {"watch foo -- echo a", NULL, NULL, "foo", NULL, "echo"},
        {"watch foo --rev 1 -- echo a", NULL, NULL, "foo", NULL, "echo"},
        {"watch \"a b\"", NULL, NULL, "a b", NULL, NULL},
        {"watch", "k", NULL, "k", NULL, NULL},
        {"watch", "k", "r", "k", "r", NULL},
        {"watch --rev 1", "k", "r", "k", "r", NULL},
        {"watch -- echo a", "k", "", "k", NULL, "echo"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct watch_flags flags;
        struct watch_args args;
        struct err e;
        assert_int_equal(
            parse(cases[i].line, cases[i].env_key, cases[i].env_range, &flags, &args, &e), 0);
        assert_string_equal(args.key, cases[i].key);
        assert_int_equal(!args.range_end, !cases[i].end);
        if (cases[i].end)
            assert_string_equal(args.range_end, cases[i].end);
        assert_int_equal(!args.exec, !cases[i].exec);
        if (cases[i].exec) {
            assert_string_equal(args.exec[0], cases[i].exec);
            assert_string_equal(args.exec[1], "a");
            assert_null(args.exec[2]);
        }
    }
}

static void mistakes_are_told_in_upstreams_words(void **state)
{
    static const struct {
        const char *line, *env_key, *want;
        int code;
    } cases[] = {
        {"", NULL, "Invalid command:  (watch and progress supported)", ERR_USAGE},
        {"foo a", NULL, "Invalid command foo a (only support watch)", ERR_USAGE},
        {"watch", NULL, "Invalid command watch (command type or key is not provided)", ERR_USAGE},
        {"watch foo --", NULL, "bad number of arguments (found separator --, but no commands)",
         ERR_CONFIG},
        {"watch a b c", NULL, "bad number of arguments", ERR_CONFIG},
        {"watch foo", "k", "bad number of arguments (found conflicting environment key)",
         ERR_CONFIG},
        {"watch foo -- echo", "k", "bad number of arguments (found conflicting environment key)",
         ERR_CONFIG},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct watch_flags flags;
        struct watch_args args;
        struct err e;
        assert_int_equal(parse(cases[i].line, cases[i].env_key, NULL, &flags, &args, &e),
                         cases[i].code);
        assert_string_equal(e.msg, cases[i].want);
    }
}

static void progress_is_a_line(void **state)
{
    struct watch_flags flags;
    struct watch_args args;
    enum watch_line kind = WATCH_LINE_WATCH;
    struct err e;

    assert_int_equal(
        watch_line_parse(&arena, SLICE_LIT(" progress "), NULL, NULL, &kind, &flags, &args, &e), 0);
    assert_int_equal(kind, WATCH_LINE_PROGRESS);
}

static void flags_do_not_stay_for_the_next_line(void **state)
{
    struct watch_flags flags;
    struct watch_args args;
    struct err e;

    assert_int_equal(parse("watch a --prefix --rev 7 --prev-kv", NULL, NULL, &flags, &args, &e), 0);
    assert_true(flags.prefix && flags.prev_kv && flags.rev == 7);
    assert_int_equal(parse("watch b", NULL, NULL, &flags, &args, &e), 0);
    assert_false(flags.prefix || flags.prev_kv || flags.rev);
}

static void requests_cover_prefixes(void **state)
{
    Etcdserverpb__WatchCreateRequest r;
    struct watch_flags flags;
    struct watch_args args;
    struct err e;

    assert_int_equal(parse("watch ab --prefix", NULL, NULL, &flags, &args, &e), 0);
    assert_int_equal(watch_create_request(&flags, &args, &arena, &r, &e), 0);
    assert_int_equal(r.range_end.len, 2);
    assert_memory_equal(r.range_end.data, "ac", 2);
    assert_int_equal(parse("watch \"\" --prefix", NULL, NULL, &flags, &args, &e), 0);
    assert_int_equal(watch_create_request(&flags, &args, &arena, &r, &e), 0);
    assert_int_equal(r.key.len, 1);
    assert_int_equal(r.range_end.len, 1);
    assert_int_equal(parse("watch a b --prefix", NULL, NULL, &flags, &args, &e), 0);
    assert_int_equal(watch_create_request(&flags, &args, &arena, &r, &e), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_environment_name_the_keys),
        cmocka_unit_test(mistakes_are_told_in_upstreams_words),
        cmocka_unit_test(progress_is_a_line),
        cmocka_unit_test(flags_do_not_stay_for_the_next_line),
        cmocka_unit_test(requests_cover_prefixes),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
