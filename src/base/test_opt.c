#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/opt.h"

struct conf {
    bool flag, vote;
    char *name, *none;
    uint64_t quota, id, interval_ns, tick_ms;
    int64_t delta;
    int format;
    char **urls;
};

static const char *const formats[] = {"simple", "json", "table", "pretty-table", NULL};
static const struct opt rows[] = {
    OPT_BOOL("flag", struct conf, flag, .letter = 'f', .help = "A switch"),
    OPT_BOOL("pre-vote", struct conf, vote, .def = "true", .help = "Vote twice"),
    OPT_STR("name", struct conf, name, .def = "default", .help = "Name of the member"),
    OPT_STR("none", struct conf, none, .hidden = true),
    OPT_U64("quota-backend-bytes", struct conf, quota, .def = "0", .unit = "bytes",
            .help = "Quota"),
    OPT_HEX("lease", struct conf, id, .help = "Lease"),
    OPT_DURATION("interval", struct conf, interval_ns, .def = "5s", .min = 1000000,
                 .max = 3600000000000, .help = "Interval"),
    OPT_MS("heartbeat-interval", struct conf, tick_ms, .def = "100", .min = 1, .max = 50000,
           .help = "Heartbeat"),
    OPT_I64("delta", struct conf, delta, .min = -5, .max = 5, .help = "Delta"),
    OPT_ENUM("write-out", struct conf, format, .letter = 'w', .choices = formats, .def = "json",
             .help = "Output"),
    OPT_LIST("listen-client-urls", struct conf, urls, .def = "a,b", .help = "URLs"),
    OPT_IGNORED("logger", .help = "Has no effect here"),
    OPT_IGNORED("auto-tls", .arg = ""),
    OPT_IGNORED("wal-dir", .arg = "DIR"),
    OPT_END,
};

/* Words where char ** is wanted, as from main. */
#define WORDS(...) ((char **)(uintptr_t)(const char *const[]){__VA_ARGS__, NULL})

struct fixture {
    struct conf conf;
    struct opt_set set;
    struct err e;
    char *args[16];
    int nargs;
    bool help;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);

    opt_init(&f->set, rows, &f->conf, "ETCD_");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    opt_free(&f->set);
    assert_null(f->conf.name);
    assert_null(f->conf.urls);
    free(f);
    return 0;
}

static int parse(struct fixture *f, bool stop, const char *const *words)
{
    char *argv[16] = {NULL}; /* the program's name is not looked at */
    int argc = 1;

    for (; words[argc - 1]; argc++)
        argv[argc] = xstrdup(words[argc - 1]);
    f->e = (struct err){0};
    int r = opt_parse_args(&f->set, argc, argv, stop, f->args, &f->nargs, &f->help, &f->e);
    /* The words that are left are asked for below; the rest is freed, so that a kept pointer shows.
     */
    for (int i = 1; i < argc; i++) {
        bool kept = false;
        for (int k = 0; k < f->nargs; k++)
            kept |= f->args[k] == argv[i];
        if (!kept)
            free(argv[i]);
    }
    return r;
}

static void drop_args(struct fixture *f)
{
    while (f->nargs)
        free(f->args[--f->nargs]);
}

#define PARSE(f, ...)      parse((f), false, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define PARSE_STOP(f, ...) parse((f), true, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void assert_list(char **list, const char *want)
{
    char text[256] = "";
    size_t n = 0;

    for (char **i = list; i && *i; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? "|" : "", *i);
    assert_string_equal(text, want);
}

static void defaults_stand_until_something_is_given(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(PARSE(f), 0);
    assert_false(f->conf.flag);
    assert_true(f->conf.vote);
    assert_string_equal(f->conf.name, "default");
    assert_null(f->conf.none);
    assert_int_equal(f->conf.interval_ns, 5000000000);
    assert_int_equal(f->conf.tick_ms, 100);
    assert_int_equal(f->conf.format, 1);
    assert_list(f->conf.urls, "a|b");
    assert_false(opt_given(&f->set, "name"));
    assert_int_equal(opt_source_of(&f->set, "name"), OPT_FROM_DEFAULT);
}

static void every_form_of_a_flag_is_taken(void **state)
{
    static const struct {
        const char *words[4];
        const char *want;
    } forms[] = {
        {{"--name", "v"}, "v"},  {{"--name=v"}, "v"},      {{"-name", "v"}, "v"},
        {{"-name=v"}, "v"},      {{"--name="}, ""},        {{"--name", ""}, ""},
        {{"--name=a=b"}, "a=b"}, {{"--name", "-x"}, "-x"}, {{"--name", "--"}, "--"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        assert_int_equal(parse(f, false, forms[i].words), 0);
        assert_string_equal(f->conf.name, forms[i].want);
        assert_int_equal(f->nargs, 0);
    }
    assert_int_equal(opt_source_of(&f->set, "name"), OPT_FROM_FLAG);
}

static void booleans_take_a_value_only_behind_an_equals_sign(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(PARSE(f, "--flag", "false"), 0);
    assert_true(f->conf.flag);
    assert_int_equal(f->nargs, 1);
    drop_args(f);
    static const struct {
        const char *word;
        bool want;
    } forms[] = {
        {"--flag=false", false}, {"-flag=T", true},  {"-f=0", false}, {"--flag=True", true},
        {"--flag=F", false},     {"--flag=1", true}, {"-f", true}};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        assert_int_equal(PARSE(f, forms[i].word), 0);
        assert_int_equal(f->conf.flag, forms[i].want);
    }
    assert_int_equal(PARSE(f, "--flag=yes"), ERR_USAGE);
    assert_string_equal(f->e.msg, "--flag: expected true or false, found 'yes'");
}

static void letters_take_values_in_three_forms(void **state)
{
    static const struct {
        const char *words[4];
    } forms[] = {{{"-w", "table"}}, {{"-w=table"}}, {{"-wtable"}}, {{"-write-out=table"}}};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        f->conf.format = 0;
        assert_int_equal(parse(f, false, forms[i].words), 0);
        assert_int_equal(f->conf.format, 2);
    }
    /* A letter is no long name, and a switch takes nothing attached. */
    assert_int_equal(PARSE(f, "--w", "json"), ERR_USAGE);
    assert_int_equal(PARSE(f, "-fx"), ERR_USAGE);
}

static void words_between_flags_are_arguments(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(PARSE(f, "get", "--name", "n", "key", "-", "--", "--flag"), 0);
    assert_int_equal(f->nargs, 4);
    assert_string_equal(f->args[0], "get");
    assert_string_equal(f->args[1], "key");
    assert_string_equal(f->args[2], "-");
    assert_string_equal(f->args[3], "--flag");
    assert_false(f->conf.flag);
    drop_args(f);
}

static void a_program_with_verbs_stops_at_the_first_word(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(PARSE_STOP(f, "--flag", "put", "--name", "x", "--", "k"), 0);
    assert_true(f->conf.flag);
    assert_string_equal(f->conf.name, "default");
    assert_int_equal(f->nargs, 5);
    assert_string_equal(f->args[0], "put");
    assert_string_equal(f->args[3], "--");
    drop_args(f);
    assert_int_equal(PARSE_STOP(f, "--", "--name"), 0);
    assert_int_equal(f->nargs, 1);
    assert_string_equal(f->args[0], "--name");
    drop_args(f);
}

static void help_hides_later_mistakes(void **state)
{
    static const char *const forms[] = {"--help", "-help", "-h", "--h"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        assert_int_equal(PARSE(f, forms[i], "get"), 0);
        assert_true(f->help);
        assert_int_equal(f->nargs, 1);
        drop_args(f);
    }
    assert_int_equal(PARSE(f, "--help", "--bogus"), 0);
    assert_true(f->help);
    assert_int_equal(f->e.code, 0);
    assert_int_equal(PARSE(f, "--flag"), 0);
    assert_false(f->help);
}

static void ignored_flags_take_the_value_they_had(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(PARSE(f, "--logger", "zap", "--logger", "--flag", "--logger=zap"), 0);
    assert_int_equal(f->nargs, 0);
    assert_true(f->conf.flag);
    assert_true(opt_given(&f->set, "logger"));
    assert_int_equal(PARSE(f, "--auto-tls", "word", "--wal-dir", "-d"), 0);
    assert_int_equal(f->nargs, 1);
    assert_true(opt_given(&f->set, "wal-dir"));
    drop_args(f);
}

/* What is given, what comes out; NULL: refused. All types whose text has rules. */
static void values_are_checked_against_type_and_bounds(void **state)
{
    static const struct {
        const char *word;
        const char *want;
    } cases[] = {
        {"--quota-backend-bytes=18446744073709551615", "18446744073709551615"},
        {"--quota-backend-bytes=18446744073709551616", NULL},
        {"--quota-backend-bytes=0x10", "16"},
        {"--quota-backend-bytes=0x", NULL},
        {"--quota-backend-bytes=", NULL},
        {"--quota-backend-bytes=-1", NULL},
        {"--quota-backend-bytes= 1", NULL},
        {"--quota-backend-bytes=1k", NULL},
        {"--lease=694d81417a4f3c08", "7587863065414024200"},
        {"--lease=0x1", NULL},
        {"--lease=694d81417a4f3c081", NULL},
        {"--interval=1ms", "1000000"},
        {"--interval=999us", NULL},
        {"--interval=1h", "3600000000000"},
        {"--interval=1h1ns", NULL},
        {"--interval=5", NULL},
        {"--heartbeat-interval=50000", "50000"},
        {"--heartbeat-interval=50001", NULL},
        {"--heartbeat-interval=0", NULL},
        {"--heartbeat-interval=100ms", NULL},
        {"--delta=-5", "-5"},
        {"--delta=+5", "5"},
        {"--delta=6", NULL},
        {"--delta=-6", NULL},
        {"--delta=-", NULL},
        {"--delta=-9223372036854775809", NULL},
        {"--write-out=simple", "0"},
        {"--write-out=Simple", NULL},
        {"--write-out=", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture *f = *state;
        assert_int_equal(PARSE(f, cases[i].word), cases[i].want ? 0 : ERR_USAGE);
        assert_int_equal(f->e.msg[0] != 0, cases[i].want == NULL);
        if (!cases[i].want)
            continue;
        char text[32];
        switch (cases[i].word[2]) {
        case 'q':
            snprintf(text, sizeof text, "%" PRIu64, f->conf.quota);
            break;
        case 'l':
            snprintf(text, sizeof text, "%" PRIu64, f->conf.id);
            break;
        case 'i':
            snprintf(text, sizeof text, "%" PRIu64, f->conf.interval_ns);
            break;
        case 'h':
            snprintf(text, sizeof text, "%" PRIu64, f->conf.tick_ms);
            break;
        case 'd':
            snprintf(text, sizeof text, "%" PRId64, f->conf.delta);
            break;
        default:
            snprintf(text, sizeof text, "%d", f->conf.format);
            break;
        }
        assert_string_equal(text, cases[i].want);
    }
}

static void errors_say_what_was_expected_and_found(void **state)
{
    static const struct {
        const char *words[3];
        const char *want;
    } cases[] = {
        {{"--nmae=x"}, "unknown flag '--nmae=x'; did you mean '--name'?"},
        {{"-listen-client-url", "x"},
         "unknown flag '-listen-client-url'; did you mean '--listen-client-urls'?"},
        {{"--zzz"}, "unknown flag '--zzz'; --help lists the known ones"},
        {{"--name"}, "--name: expected a value, found the end; write --name=VALUE"},
        {{"-w"}, "-w: expected a value, found the end; write -w=VALUE"},
        {{"--heartbeat-interval=abc"},
         "--heartbeat-interval: expected a number of milliseconds without a unit from 1 to 50000, "
         "found 'abc'"},
        {{"--interval=1d"},
         "--interval: expected a duration such as 300ms or 1h30m from 1ms to "
         "1h, found '1d'"},
        {{"-w", "yaml"}, "-w: expected one of simple, json, table, pretty-table, found 'yaml'"},
        {{"--quota-backend-bytes=2GB"},
         "--quota-backend-bytes: expected a whole number of bytes, found '2GB'"},
        {{"--listen-client-urls=a,,b"},
         "--listen-client-urls: expected values separated by single commas, found 'a,,b'"},
        {{"---name"},
         "bad flag '---name': expected --name, --name=value or --name value; after "
         "'--' words that begin with a dash are arguments"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(f, false, cases[i].words), ERR_USAGE);
        assert_string_equal(f->e.msg, cases[i].want);
    }
    assert_int_equal(PARSE(f, "--="), ERR_USAGE);
}

static void lists_grow_within_a_source_and_are_replaced_by_the_next(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(opt_set_value(&f->set, "listen-client-urls", "x,y", OPT_FROM_FILE, &f->e), 0);
    assert_list(f->conf.urls, "x|y");
    assert_int_equal(opt_set_value(&f->set, "listen-client-urls", "z", OPT_FROM_FILE, &f->e), 0);
    assert_list(f->conf.urls, "x|y|z");
    assert_int_equal(PARSE(f, "--listen-client-urls", "1", "--listen-client-urls=2,3"), 0);
    assert_list(f->conf.urls, "1|2|3");
    assert_int_equal(PARSE(f, "--listen-client-urls="), 0);
    assert_list(f->conf.urls, "1|2|3");
}

static void a_list_has_a_bound(void **state)
{
    struct fixture *f = *state;
    char *big = xmalloc(20000);

    memset(big, 0, 20000);
    for (int i = 0; i < 4097; i++)
        memcpy(big + 2 * i, "a,", 2);
    big[2 * 4096 - 1] = 0; /* 4096 items */
    assert_int_equal(opt_set_value(&f->set, "listen-client-urls", big, OPT_FROM_FILE, &f->e), 0);
    assert_int_equal(opt_set_value(&f->set, "listen-client-urls", "a", OPT_FROM_FILE, &f->e),
                     ERR_USAGE);
    big[2 * 4096 - 1] = ',';
    big[2 * 4097 - 1] = 0;
    assert_int_equal(opt_set_value(&f->set, "listen-client-urls", big, OPT_FROM_ENV, &f->e),
                     ERR_USAGE);
    free(big);
}

static void environment_names_are_upper_case_with_underscores(void **state)
{
    struct fixture *f = *state;
    char **env = WORDS("PATH=/bin", "ETCD_NAME=", "ETCD_HEARTBEAT_INTERVAL=7",
                       "ETCD_PRE_VOTE=false", "ETCD_NAMES=no", "etcd_name=no");

    assert_int_equal(opt_parse_env(&f->set, env, true, &f->e), 0);
    assert_int_equal(f->conf.tick_ms, 7);
    assert_false(f->conf.vote);
    assert_string_equal(f->conf.name, "default"); /* empty counts as unset */
    assert_int_equal(opt_source_of(&f->set, "pre-vote"), OPT_FROM_ENV);
    /* Read twice it is the same. */
    char **urls = WORDS("ETCD_LISTEN_CLIENT_URLS=u,v");
    assert_int_equal(opt_parse_env(&f->set, urls, true, &f->e), 0);
    assert_int_equal(opt_parse_env(&f->set, urls, true, &f->e), 0);
    assert_list(f->conf.urls, "u|v");
    char **bad = WORDS("ETCD_HEARTBEAT_INTERVAL=x");
    assert_int_equal(opt_parse_env(&f->set, bad, true, &f->e), ERR_USAGE);
    assert_string_equal(f->e.msg, "environment variable ETCD_HEARTBEAT_INTERVAL: expected a number "
                                  "of milliseconds without a unit from 1 to 50000, found 'x'");
}

static void flag_beside_variable_is_refused_or_wins(void **state)
{
    struct fixture *f = *state;
    char **env = WORDS("ETCD_NAME=from-env");

    assert_int_equal(PARSE(f, "--name=from-flag"), 0);
    assert_int_equal(opt_parse_env(&f->set, env, true, &f->e), ERR_USAGE);
    assert_string_equal(f->e.msg,
                        "conflicting environment variable ETCD_NAME is shadowed by corresponding "
                        "command-line flag --name; unset the variable or leave out the flag");
    assert_int_equal(opt_parse_env(&f->set, env, false, &f->e), 0);
    assert_string_equal(f->conf.name, "from-flag");
}

static void unknown_variables_are_listed_for_a_warning(void **state)
{
    struct fixture *f = *state;
    char **env = WORDS("PATH=/bin", "ETCD_NAM=x", "ETCD_NAME=x", "ETCD_NAMES=y");
    size_t pos = 0;

    assert_string_equal(opt_env_unknown(&f->set, env, &pos), "ETCD_NAM=x");
    assert_string_equal(opt_env_unknown(&f->set, env, &pos), "ETCD_NAMES=y");
    assert_null(opt_env_unknown(&f->set, env, &pos));
}

static void later_sources_win_in_any_order_of_calls(void **state)
{
    struct fixture *f = *state;
    char **env = WORDS("ETCD_QUOTA_BACKEND_BYTES=2");

    assert_int_equal(opt_parse_env(&f->set, env, false, &f->e), 0);
    assert_int_equal(opt_set_value(&f->set, "quota-backend-bytes", "1", OPT_FROM_FILE, &f->e), 0);
    assert_int_equal(f->conf.quota, 2);
    assert_int_equal(PARSE(f, "--quota-backend-bytes=3", "--name=flag"), 0);
    assert_int_equal(f->conf.quota, 3);
    /* What does not count is checked all the same. */
    assert_int_equal(opt_set_value(&f->set, "quota-backend-bytes", "x", OPT_FROM_FILE, &f->e),
                     ERR_USAGE);
    assert_int_equal(opt_set_value(&f->set, "name", "file", OPT_FROM_FILE, &f->e), 0);
    assert_int_equal(opt_set_value(&f->set, "listen-client-urls", "l", OPT_FROM_ENV, &f->e), 0);
    assert_int_equal(opt_set_value(&f->set, "listen-client-urls", "m", OPT_FROM_FILE, &f->e), 0);
    assert_list(f->conf.urls, "l");
    assert_string_equal(f->conf.name, "flag");
}

static void file_keys_are_looked_up(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(opt_set_value(&f->set, "naem", "x", OPT_FROM_FILE, &f->e), ERR_KEY_NOT_FOUND);
    assert_string_equal(f->e.msg, "unknown key 'naem'; did you mean 'name'?");
    assert_int_equal(opt_set_value(&f->set, "delta", "9", OPT_FROM_FILE, &f->e), ERR_USAGE);
    assert_string_equal(f->e.msg, "'delta': expected an integer from -5 to 5, found '9'");
    assert_int_equal(opt_set_value(&f->set, "interval", "2000000", OPT_FROM_FILE, &f->e), 0);
    assert_int_equal(f->conf.interval_ns, 2000000);
    assert_int_equal(opt_set_value(&f->set, "interval", "2s", OPT_FROM_FILE, &f->e), 0);
    assert_int_equal(f->conf.interval_ns, 2000000000);
}

static void durations_parse_as_in_go(void **state)
{
    static const struct {
        const char *text;
        int64_t want; /* -1: refused */
    } cases[] = {
        {"0", 0},
        {"0s", 0},
        {"5s", 5000000000},
        {"+5s", 5000000000},
        {"1h2m3.5s", 3723500000000},
        {"100ms", 100000000},
        {"1.5h", 5400000000000},
        {".5s", 500000000},
        {"5.s", 5000000000},
        {"1us", 1000},
        {"1\xc2\xb5s", 1000},
        {"1\xce\xbcs", 1000},
        {"1ns", 1},
        {"0.9ns", 0},
        {"0.100000000000000000000000001h", 360000000000},
        {"2562047h47m16.854775807s", INT64_MAX},
        {"2562047h47m16.854775808s", -1},
        {"9223372036854775807ns", INT64_MAX},
        {"9223372036854775808ns", -1},
        {"18446744073709551617ns", -1},
        {"", -1},
        {"+", -1},
        {"s", -1},
        {".s", -1},
        {"5", -1},
        {"-5s", -1},
        {"5 s", -1},
        {"5d", -1},
        {"1s2", -1},
        {"99999999999999999999s", -1},
        {"9999999999h", -1},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ns;
        int r = opt_parse_duration(cases[i].text, &ns);
        assert_int_equal(r, cases[i].want < 0 ? -EINVAL : 0);
        if (r == 0)
            assert_int_equal(ns, cases[i].want);
    }
}

static void near_names_are_offered_and_far_ones_not(void **state)
{
    static const char *const names[] = {"get",        "put",      "watch", "member",
                                        "compaction", "snapshot", NULL};
    static const struct {
        const char *word;
        const char *want;
    } cases[] = {
        {"gte", "get"},
        {"ptu", "put"},
        {"wacth", "watch"},
        {"membre", "member"},
        {"compact", "compaction"},
        {"snapshott", "snapshot"},
        {"g", NULL},
        {"", NULL},
        {"xyz", NULL},
        {"delete", NULL},
        {"a-word-far-longer-than-any-name-that-could-be-meant-by-it-in-a-table", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *got = opt_did_you_mean(cases[i].word, names);
        if (cases[i].want)
            assert_string_equal(got, cases[i].want);
        else
            assert_null(got);
    }
}

static void help_is_aligned_and_tells_defaults_and_bounds(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    opt_print_help(rows, out);
    fclose(out);
    assert_string_equal(
        text, "  -f, --flag                        A switch\n"
              "      --pre-vote[=false]            Vote twice (default true)\n"
              "      --name TEXT                   Name of the member (default default)\n"
              "      --quota-backend-bytes NUMBER  Quota (bytes; default 0)\n"
              "      --lease HEX                   Lease\n"
              "      --interval DURATION           Interval (1ms to 1h; default 5s)\n"
              "      --heartbeat-interval MS       Heartbeat (1 to 50000 ms; default 100)\n"
              "      --delta NUMBER                Delta (-5 to 5)\n"
              "  -w, --write-out simple|json|table|pretty-table\n"
              "                                    Output (default json)\n"
              "      --listen-client-urls A,B,...  URLs (default a,b)\n"
              "      --logger                      Has no effect here\n"
              "      --auto-tls\n"
              "      --wal-dir DIR\n");
    free(text);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(defaults_stand_until_something_is_given),
        T(every_form_of_a_flag_is_taken),
        T(booleans_take_a_value_only_behind_an_equals_sign),
        T(letters_take_values_in_three_forms),
        T(words_between_flags_are_arguments),
        T(a_program_with_verbs_stops_at_the_first_word),
        T(help_hides_later_mistakes),
        T(ignored_flags_take_the_value_they_had),
        T(values_are_checked_against_type_and_bounds),
        T(errors_say_what_was_expected_and_found),
        T(lists_grow_within_a_source_and_are_replaced_by_the_next),
        T(a_list_has_a_bound),
        T(environment_names_are_upper_case_with_underscores),
        T(flag_beside_variable_is_refused_or_wins),
        T(unknown_variables_are_listed_for_a_warning),
        T(later_sources_win_in_any_order_of_calls),
        T(file_keys_are_looked_up),
        cmocka_unit_test(durations_parse_as_in_go),
        cmocka_unit_test(near_names_are_offered_and_far_ones_not),
        cmocka_unit_test(help_is_aligned_and_tells_defaults_and_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
