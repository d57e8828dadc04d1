#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/client_internal.h"

static void endpoints_name_host_port_and_tls(void **state)
{
    static const struct {
        const char *text;
        bool tls_set; /* a certificate was given */
        const char *host, *port, *authority;
        bool tls;
    } cases[] = {
        {"127.0.0.1:2379", false, "127.0.0.1", "2379", "127.0.0.1:2379", false},
        {"localhost", false, "localhost", "2379", "localhost:2379", false},
        {"http://localhost:1/", false, "localhost", "1", "localhost:1", false},
        {"https://a.b:1", false, "a.b", "1", "a.b:1", true},
        {"a.b:1", true, "a.b", "1", "a.b:1", true},
        {"[::1]:23", false, "::1", "23", "[::1]:23", false},
        {"http://[fe80::1]", false, "fe80::1", "2379", "[fe80::1]:2379", false},
        {"host:", false, "host", "2379", "host:2379", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct endpoint ep;
        struct err e;
        assert_int_equal(endpoint_parse(&ep, cases[i].text, cases[i].tls_set, &e), 0);
        assert_string_equal(ep.text, cases[i].text);
        assert_string_equal(ep.host, cases[i].host);
        assert_string_equal(ep.port, cases[i].port);
        assert_string_equal(ep.authority, cases[i].authority);
        assert_int_equal(ep.tls, cases[i].tls);
        endpoint_deinit(&ep);
    }
}

static void endpoints_without_a_host_are_refused(void **state)
{
    static const char *const texts[] = {"",          ":2379",        "http://",
                                        "http://:1", "ftp://host:1", "[::1",
                                        "[]:1",      "[::1]x:1",     "unix:///run/etcd.sock"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct endpoint ep;
        struct err e;
        assert_int_equal(endpoint_parse(&ep, texts[i], false, &e), ERR_USAGE);
        endpoint_deinit(&ep);
    }
}

static void a_client_without_endpoints_is_refused(void **state)
{
    static const char *const none[] = {NULL};
    const struct client_conf conf = {.endpoints = none};
    struct client *c;
    struct err e;

    assert_int_equal(client_new(&conf, &c, &e), ERR_USAGE);
}

static void nobody_listening_is_unavailable(void **state)
{
    static const char *const endpoints[] = {"127.0.0.1:1", "127.0.0.1:2", NULL};
    const struct client_conf conf = {.endpoints = endpoints, .dial_timeout_ns = 1};
    struct client *c;
    struct err e;

    assert_int_equal(client_new(&conf, &c, &e), 0);
    assert_int_equal(client_connect(c, &e), ERR_UNAVAILABLE);
    assert_non_null(strstr(e.msg, "127.0.0.1:2"));
    client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_name_host_port_and_tls),
        cmocka_unit_test(endpoints_without_a_host_are_refused),
        cmocka_unit_test(a_client_without_endpoints_is_refused),
        cmocka_unit_test(nobody_listening_is_unavailable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
