#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/opt_yaml.h"

struct conf {
    char *name, *cert, *peer_cert, *wal_dir, *outputs;
    uint64_t quota, tick_ms, interval_ns;
    bool vote;
    char **urls;
};

static const struct opt options[] = {
    OPT_STR("name", struct conf, name, .def = "default"),
    OPT_STR("cert-file", struct conf, cert),
    OPT_STR("peer-cert-file", struct conf, peer_cert),
    OPT_STR("wal-dir", struct conf, wal_dir, .def = "unset"),
    OPT_STR("log-outputs", struct conf, outputs),
    OPT_U64("quota-backend-bytes", struct conf, quota),
    OPT_MS("heartbeat-interval", struct conf, tick_ms, .def = "100", .min = 1, .max = 50000),
    OPT_DURATION("grpc-keepalive-interval", struct conf, interval_ns),
    OPT_BOOL("pre-vote", struct conf, vote, .def = "true"),
    OPT_LIST("listen-client-urls", struct conf, urls, .def = "x"),
    OPT_IGNORED("logger"),
    OPT_END,
};
static const struct opt_yaml_row rows[] = {
    {"client-transport-security", "cert-file", "cert-file"},
    {"peer-transport-security", "cert-file", "peer-cert-file"},
    {NULL, "log-output", "log-outputs"},
    {0},
};

struct fixture {
    struct conf conf;
    struct opt_set set;
    struct err e;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);

    opt_init(&f->set, options, &f->conf, "ETCD_");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    opt_free(&f->set);
    free(f);
    return 0;
}

static int parse(struct fixture *f, const char *text)
{
    f->e = (struct err){0};
    return opt_yaml_parse(&f->set, slice_str(text), "etcd.yml", rows, &f->e);
}

static void a_file_like_upstreams_sample_is_read(void **state)
{
    static const char text[] = "# This is the configuration file for the etcd server.\n"
                               "\n"
                               "name: 'infra1'\n"
                               "wal-dir:\n"
                               "quota-backend-bytes: 8589934592\n"
                               "heartbeat-interval: 200 # ms\n"
                               "grpc-keepalive-interval: 7200000000000\n"
                               "listen-client-urls: http://a:1,http://b:2\n"
                               "pre-vote: false\n"
                               "client-transport-security:\n"
                               "  # Path to the client server TLS cert file.\n"
                               "  cert-file: /c.pem\n"
                               "\n"
                               "peer-transport-security:\n"
                               "  cert-file: \"/p.pem\"\n"
                               "log-outputs: [stderr, /var/log/etcd]\n"
                               "logger: zap\n";
    struct fixture *f = *state;

    assert_int_equal(parse(f, text), 0);
    assert_string_equal(f->conf.name, "infra1");
    assert_string_equal(f->conf.wal_dir, "unset");
    assert_int_equal(f->conf.quota, 8589934592);
    assert_int_equal(f->conf.tick_ms, 200);
    assert_int_equal(f->conf.interval_ns, 7200000000000);
    assert_string_equal(f->conf.urls[1], "http://b:2");
    assert_null(f->conf.urls[2]);
    assert_false(f->conf.vote);
    assert_string_equal(f->conf.cert, "/c.pem");
    assert_string_equal(f->conf.peer_cert, "/p.pem");
    assert_string_equal(f->conf.outputs, "stderr,/var/log/etcd");
    assert_int_equal(opt_source_of(&f->set, "cert-file"), OPT_FROM_FILE);
    assert_false(opt_given(&f->set, "wal-dir"));
}

static void what_sets_nothing_is_fine(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "# only a comment\n",
        "---\n",
        "--- ~\n...\n",
        "{}",
        "name: ~\nwal-dir: null\n",
        "client-transport-security:\n",
        "client-transport-security: {}\n",
        "\xef\xbb\xbfname:\n",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(parse(f, texts[i]), 0);
        assert_false(opt_given(&f->set, "name"));
    }
}

static void json_is_yaml(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{\"name\": \"j\", \"listen-client-urls\": [\"a\", \"b\"],\n"
                              " \"client-transport-security\": {\"cert-file\": \"c\"}}"),
                     0);
    assert_string_equal(f->conf.name, "j");
    assert_string_equal(f->conf.urls[1], "b");
    assert_string_equal(f->conf.cert, "c");
}

static void an_empty_list_and_an_empty_string_are_values(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "listen-client-urls: []\nwal-dir: ''\nlog-output: x\n"), 0);
    assert_null(f->conf.urls[0]);
    assert_string_equal(f->conf.wal_dir, "");
    assert_string_equal(f->conf.outputs, "x");
}

static void errors_name_file_line_and_what_to_do(void **state)
{
    static const struct {
        const char *text;
        const char *want; /* after the file's name */
    } cases[] = {
        {"\nnmae: x\n", "line 2: unknown key 'nmae'; did you mean 'name'?"},
        {"zzzzzz: x\n", "line 1: unknown key 'zzzzzz'"},
        {"client-transport-securty:\n  cert-file: x\n",
         "line 1: unknown key 'client-transport-securty'; did you mean "
         "'client-transport-security'?"},
        {"client-transport-security:\n  cert-fil: x\n",
         "line 2: unknown key 'cert-fil' in section 'client-transport-security'; did you mean "
         "'cert-file'?"},
        {"client-transport-security:\n  name: x\n",
         "line 2: unknown key 'name' in section 'client-transport-security'"},
        {"name: a\nname: b\n", "line 2: 'name' is given twice; keep one of them"},
        {"client-transport-security: yes\n",
         "line 1: 'client-transport-security' is a section: expected keys indented below it"},
        {"name:\n  a: b\n",
         "line 2: 'name': expected a value or a list of values, found a section"},
        {"listen-client-urls:\n- a\n- [b]\n",
         "line 3: 'listen-client-urls': expected a list of plain values"},
        {"name: &x a\nwal-dir: *x\n",
         "line 2: 'wal-dir': anchors and aliases are not taken; write the value"},
        {"pre-vote: maybe\n", "line 1: 'pre-vote': expected true or false, found 'maybe'"},
        {"\n\nheartbeat-interval: 0\n",
         "line 3: 'heartbeat-interval': expected a number of milliseconds without a unit from 1 to "
         "50000, found '0'"},
        {"- a\n- b\n", "line 1: expected lines of 'key: value'"},
        {"just text\n", "line 1: expected lines of 'key: value'"},
        {"[a]: b\n", "line 1: expected 'key: value'"},
        {"name: a\n---\nname: b\n", "line 2: a second document begins; only one is read"},
        {"name: \"a\\0b\"\n", "line 1: 'name': expected text, found a NUL character"},
        {"\"na\\0me\": b\n", "line 1: expected a key, found a NUL character"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char want[ERR_MSG_MAX];
        snprintf(want, sizeof want, "config file 'etcd.yml' %s", cases[i].want);
        assert_int_equal(parse(f, cases[i].text), ERR_CONFIG);
        assert_string_equal(f->e.msg, want);
        assert_int_equal(f->e.code, ERR_CONFIG);
    }
}

static void what_is_no_yaml_is_refused_with_its_line(void **state)
{
    static const char *const texts[] = {"name: a\n\tb: c\n", "name: 'open\n", "{name: a\n",
                                        "name: \xff\n",      "%BAD\n",        "name: a: b\n"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(parse(f, texts[i]), ERR_CONFIG);
        assert_non_null(strstr(f->e.msg, "config file 'etcd.yml' line "));
        assert_non_null(strstr(f->e.msg, ": not valid YAML: "));
    }
}

static void sizes_have_bounds(void **state)
{
    struct fixture *f = *state;
    char *big = xmalloc(OPT_YAML_BYTES_MAX + 2);

    memset(big, 'a', OPT_YAML_BYTES_MAX + 2);
    memcpy(big, "name: ", 6);
    big[OPT_YAML_BYTES_MAX + 1] = 0;
    assert_int_equal(parse(f, big), ERR_CONFIG);
    assert_non_null(strstr(f->e.msg, "larger than 1048576 bytes"));
    big[OPT_YAML_VALUE_MAX + 6] = 0;
    assert_int_equal(parse(f, big), ERR_CONFIG);
    assert_non_null(strstr(f->e.msg, "longer than 65536 bytes"));
    big[OPT_YAML_VALUE_MAX + 5] = 0;
    assert_int_equal(parse(f, big), 0);
    memset(big, '[', OPT_YAML_BYTES_MAX);
    memcpy(big, "name: ", 6);
    big[OPT_YAML_BYTES_MAX] = 0;
    assert_int_equal(parse(f, big), ERR_CONFIG);
    free(big);
}

static void flags_win_over_the_file(void **state)
{
    struct fixture *f = *state;
    char flag[] = "--name=flag";
    char *argv[] = {flag, flag, NULL};
    char *args[2];
    int nargs;
    bool help;

    assert_int_equal(opt_parse_args(&f->set, 2, argv, false, args, &nargs, &help, &f->e), 0);
    assert_int_equal(parse(f, "name: file\nwal-dir: file\n"), 0);
    assert_string_equal(f->conf.name, "flag");
    assert_string_equal(f->conf.wal_dir, "file");
}

static void files_are_loaded_by_path(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/test_opt_yaml.XXXXXX";
    cleanup_close int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(opt_yaml_load(&f->set, path, rows, &f->e), 0);
    assert_int_equal(write(fd, "name: loaded\n", 13), 13);
    assert_int_equal(opt_yaml_load(&f->set, path, rows, &f->e), 0);
    assert_string_equal(f->conf.name, "loaded");
    /* One byte past the bound. */
    assert_int_equal(ftruncate(fd, OPT_YAML_BYTES_MAX + 1), 0);
    assert_int_equal(opt_yaml_load(&f->set, path, rows, &f->e), ERR_CONFIG);
    assert_non_null(strstr(f->e.msg, "larger than"));
    unlink(path);
    assert_int_equal(opt_yaml_load(&f->set, path, rows, &f->e), -ENOENT);
    assert_non_null(strstr(f->e.msg, "No such file or directory"));
    assert_int_equal(opt_yaml_load(&f->set, "/", rows, &f->e), -EISDIR);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_file_like_upstreams_sample_is_read),
        T(what_sets_nothing_is_fine),
        T(json_is_yaml),
        T(an_empty_list_and_an_empty_string_are_values),
        T(errors_name_file_line_and_what_to_do),
        T(what_is_no_yaml_is_refused_with_its_line),
        T(sizes_have_bounds),
        T(flags_win_over_the_file),
        T(files_are_loaded_by_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
