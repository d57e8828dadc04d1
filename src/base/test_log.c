#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <regex.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/utf8.h"

static int pipe_fds[2];

static int make_pipe(void **state)
{
    return pipe(pipe_fds);
}

static int close_pipe(void **state)
{
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

/* What one read takes from the pipe: a line, because each is one write and smaller than PIPE_BUF
 * or alone in it. */
static const char *line(void)
{
    static char text[2 * LOG_LINE_MAX];
    ssize_t n = read(pipe_fds[0], text, sizeof text - 1);

    assert_true(n > 0);
    text[n] = 0;
    assert_int_equal(text[n - 1], '\n');
    text[n - 1] = 0;
    return text;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;

    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fail_msg("'%s' does not match '%s'", text, pattern);
    regfree(&re);
}

#define TS "20[2-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\\.[0-9]{6}Z"

static void json_has_the_shape_of_zap(void **state)
{
    log_setup(LOG_INFO, LOG_JSON, pipe_fds[1]);
    log_info("embed", "ready to serve client requests", LOG_STR("address", "127.0.0.1:2379"),
             LOG_U64("n", UINT64_MAX), LOG_I64("d", -3), LOG_HEX("member-id", 0x8e9e05c52164694d),
             LOG_BOOL("ok", true), LOG_BOOL("bad", false), LOG_STR("none", NULL));
    assert_matches(line(), "^\\{\"level\":\"info\",\"ts\":\"" TS "\",\"caller\":\"embed\","
                           "\"msg\":\"ready to serve client requests\","
                           "\"address\":\"127.0.0.1:2379\",\"n\":18446744073709551615,\"d\":-3,"
                           "\"member-id\":\"8e9e05c52164694d\",\"ok\":true,\"bad\":false,"
                           "\"none\":\"\"\\}$");
}

static void key_value_quotes_where_it_must(void **state)
{
    log_setup(LOG_DEBUG, LOG_KV, pipe_fds[1]);
    log_warn("wal", "slow fdatasync", LOG_STR("path", "/a/b"), LOG_STR("q", "a=\"b\""),
             LOG_STR("empty", ""), LOG_U64("n", 1), LOG_HEX("id", 255), LOG_BOOL("ok", true));
    assert_matches(line(), "^level=warn ts=" TS " caller=wal msg=\"slow fdatasync\" path=/a/b "
                           "q=\"a=\\\\\"b\\\\\"\" empty=\"\" n=1 id=ff ok=true$");
}

/* The date in the line is what the C library says it is, today and at the ends of months. */
static void the_date_is_right(void **state)
{
    time_t now = time(NULL);
    struct tm before, after;
    char a[32], b[32];

    log_setup(LOG_INFO, LOG_KV, pipe_fds[1]);
    gmtime_r(&now, &before);
    log_info("x", "y");
    now = time(NULL);
    gmtime_r(&now, &after);
    strftime(a, sizeof a, "ts=%Y-%m-%dT%H:%M:%S", &before);
    strftime(b, sizeof b, "ts=%Y-%m-%dT%H:%M:%S", &after);
    const char *text = line();
    assert_true(strstr(text, a) || strstr(text, b));
}

static void foreign_bytes_cannot_break_a_line(void **state)
{
    log_setup(LOG_INFO, LOG_JSON, pipe_fds[1]);
    log_info("x", "a\nb\"\xff\x01", LOG_STR("k\n", "\"}\n{\"level\":"));
    const char *text = line();
    assert_null(strchr(text, '\n'));
    assert_non_null(strstr(text, "\"msg\":\"a\\nb\\\"\\ufffd\\u0001\""));
    assert_non_null(strstr(text, "\"k\\n\":\"\\\"}\\n{\\\"level\\\":\"}"));
}

static void lines_below_the_level_are_dropped(void **state)
{
    log_setup(LOG_WARN, LOG_JSON, pipe_fds[1]);
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
    log_debug("x", "no");
    log_info("x", "no");
    log_error("x", "yes");
    assert_matches(line(), "^\\{\"level\":\"error\".*\"msg\":\"yes\"\\}$");
    log_fatal("x", "the end");
    assert_matches(line(), "^\\{\"level\":\"fatal\"");
}

/* Every length around the bound: the line stays within it, stays text, and says that it was cut. */
static void long_lines_are_cut_and_stay_json(void **state)
{
    char *big = xmalloc(2 * LOG_LINE_MAX);

    log_setup(LOG_INFO, LOG_JSON, pipe_fds[1]);
    for (size_t n = LOG_LINE_MAX - 200; n < LOG_LINE_MAX + 20; n++) {
        memset(big, 'x', n);
        memcpy(big + n - 8, "\xe2\x82\xac\"\n\x01\xff", 8);
        log_info("x", "cut", LOG_STR("big", big), LOG_U64("after", 12345678));
        const char *text = line();
        size_t len = strlen(text);
        assert_true(len < LOG_LINE_MAX);
        assert_true(utf8_valid(slice_str(text)));
        assert_string_equal(text + len - 1, "}");
        bool cut = strstr(text, ",\"cut\":true}") != NULL;
        assert_true(cut || strstr(text, "\"after\":12345678}"));
        assert_true(!cut || !strstr(text, "\"after\""));
    }
    free(big);
}

static void a_long_message_is_cut_in_both_forms(void **state)
{
    char *big = xmalloc(2 * LOG_LINE_MAX);

    memset(big, 'm', 2 * LOG_LINE_MAX - 1);
    big[2 * LOG_LINE_MAX - 1] = 0;
    log_setup(LOG_INFO, LOG_JSON, pipe_fds[1]);
    log_info("x", big, LOG_U64("n", 1));
    assert_matches(line(), "\"msg\":\"m+\",\"cut\":true}$");
    log_setup(LOG_INFO, LOG_KV, pipe_fds[1]);
    log_info("x", big, LOG_U64("n", 1));
    assert_matches(line(), " msg=\"m+\" cut=true$");
    log_info(big, "x");
    assert_matches(line(), " caller=\"m+\" cut=true$");
    free(big);
}

static void errno_survives(void **state)
{
    log_setup(LOG_INFO, LOG_JSON, -1); /* the write fails */
    errno = ENOSPC;
    log_info("x", "y");
    assert_int_equal(errno, ENOSPC);
}

static void level_names_parse(void **state)
{
    static const struct {
        const char *text;
        int want; /* a level, or -1 */
    } rows[] = {
        {"debug", LOG_DEBUG}, {"info", LOG_INFO},   {"warn", LOG_WARN},    {"error", LOG_ERROR},
        {"fatal", LOG_FATAL}, {"panic", LOG_FATAL}, {"dpanic", LOG_FATAL}, {"", -1},
        {"INFO", -1},         {"warning", -1},      {"info ", -1},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum log_level level;
        int r = log_level_parse(rows[i].text, &level);
        assert_int_equal(r, rows[i].want < 0 ? -EINVAL : 0);
        if (r == 0)
            assert_int_equal(level, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_the_shape_of_zap),
        cmocka_unit_test(key_value_quotes_where_it_must),
        cmocka_unit_test(the_date_is_right),
        cmocka_unit_test(foreign_bytes_cannot_break_a_line),
        cmocka_unit_test(lines_below_the_level_are_dropped),
        cmocka_unit_test(long_lines_are_cut_and_stay_json),
        cmocka_unit_test(a_long_message_is_cut_in_both_forms),
        cmocka_unit_test(errno_survives),
        cmocka_unit_test(level_names_parse),
    };
    return cmocka_run_group_tests(tests, make_pipe, close_pipe);
}
