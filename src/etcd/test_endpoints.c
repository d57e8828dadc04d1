#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "etcd/alarm.h"
#include "etcd/conf.h"
#include "etcd/endpoints.h"
#include "etcd/server.h"

/* A whole member without a socket. */
struct fixture {
    char dir[64];
    uv_loop_t loop;
    struct etcd_conf conf;
    struct opt_set opts;
    struct server *server;
    struct endpoints *endpoints;
};

/* An exchange that keeps its answer. */
struct asked {
    struct http_exchange x;
    int status;
    char body[4096];
};

static void keep_reply(struct http_exchange *x, int status, const struct http_header *headers,
                       size_t n, struct slice body)
{
    struct asked *a = container_of(x, struct asked, x);

    a->status = status;
    snprintf(a->body, sizeof a->body, "%.*s", (int)body.n, body.n ? (const char *)body.p : "");
}

static struct asked ask(struct fixture *f, const char *method, const char *path, const char *query)
{
    static const struct http_exchange_ops ops = {.reply = keep_reply};
    struct http_request req = {
        .method = slice_str(method), .path = slice_str(path), .query = slice_str(query)};
    struct asked a = {.x = {.ops = &ops, .req = &req}};

    endpoints_handle(f->endpoints, &a.x);
    return a;
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct err e = {0};

    snprintf(f->dir, sizeof f->dir, "/tmp/test_endpoints.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    char name[] = "etcd", flag[] = "--data-dir";
    char *argv[] = {name, flag, f->dir, NULL};
    assert_int_equal(etcd_conf_parse(&f->conf, &f->opts, 3, argv, (char *[]){NULL}, &e), 0);
    uv_loop_init(&f->loop);
    assert_int_equal(server_open(&f->conf, &f->loop, &f->server, &e), 0);
    f->endpoints = endpoints_new(f->server, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    server_stop(f->server);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    endpoints_free(f->endpoints);
    server_free(f->server);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    opt_free(&f->opts);
    snprintf(command, sizeof command, "rm -r '%s'", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void pages_are_found_by_their_whole_path(void **state)
{
    static const struct {
        const char *method, *path;
        int status;
    } rows[] = {
        {"GET", "/version", 200},
        {"HEAD", "/health", 200},
        {"GET", "/livez", 200},
        {"GET", "/livez/serializable_read", 200},
        {"GET", "/readyz/data_corruption", 200},
        {"GET", "/metrics", 200},
        {"POST", "/health", 405},
        {"GET", "/versions", 404},
        {"GET", "/version/", 404},
        {"GET", "/livez/data_corruption", 404},
        {"GET", "/readyz/", 200},
        {"GET", "/", 404},
        {"GET", "", 404},
        {"GET", "/health/0123456789012345678901234567890123456789012345678901234567890", 404},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(ask(*state, rows[i].method, rows[i].path, "").status, rows[i].status);
}

static void excluded_alarms_do_not_count(void **state)
{
    static const struct {
        const char *query;
        int status;
    } rows[] = {
        {"", 503},
        {"exclude=CORRUPT", 503},
        {"exclude=NOSPACE", 503},
        {"exclude=NOSPACE&exclude=CORRUPT", 200},
        {"exclude=CORRUPT&&x&exclude=NOSPACE", 200},
        {"exclude=NOSPACE,CORRUPT", 503},
        {"exclude=NOSPACES&exclude=CORRUPT", 503},
        {"xexclude=NOSPACE&exclude=CORRUPT", 503},
        {"exclude", 503},
        {"&", 503},
    };
    struct fixture *f = *state;

    alarm_raise(server_alarms(f->server), 1, ETCDSERVERPB__ALARM_TYPE__NOSPACE);
    alarm_raise(server_alarms(f->server), 1, ETCDSERVERPB__ALARM_TYPE__CORRUPT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(ask(f, "GET", "/health", rows[i].query).status, rows[i].status);
    assert_string_equal(ask(f, "GET", "/health", "").body,
                        "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}");
}

static void verbose_lists_the_checks(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(ask(f, "GET", "/livez", "").body, "ok\n");
    assert_string_equal(ask(f, "GET", "/livez", "verbose").body, "[+]serializable_read ok\nok\n");
    assert_string_equal(ask(f, "GET", "/livez", "a=b&verbose=").body,
                        "[+]serializable_read ok\nok\n");
    assert_string_equal(ask(f, "GET", "/livez", "verbose&exclude=serializable_read").body, "ok\n");
    alarm_raise(server_alarms(f->server), 1, ETCDSERVERPB__ALARM_TYPE__CORRUPT);
    struct asked a = ask(f, "GET", "/readyz", "");
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.body, "[-]data_corruption failed: alarm activated: CORRUPT\n"));
    assert_int_equal(ask(f, "GET", "/readyz", "exclude=data_corruption").status, 200);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(pages_are_found_by_their_whole_path),
        T(excluded_alarms_do_not_count),
        T(verbose_lists_the_checks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
