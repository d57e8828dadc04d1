#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "etcd/member_id.h"

/* What a fresh upstream server with its defaults answers in every header. */
static void ids_are_upstreams(void **state)
{
    char url[] = "http://localhost:2380";
    char *urls[] = {url, NULL};

    assert_int_equal(member_id_make(urls, "etcd-cluster"), 0x8e9e05c52164694dULL);
    assert_int_equal(cluster_id_make(0x8e9e05c52164694dULL), 0xcdf818194e3a8c32ULL);
}

static void order_of_urls_does_not_matter(void **state)
{
    char a[] = "http://a:1", b[] = "http://b:1";
    char *ab[] = {a, b, NULL}, *ba[] = {b, a, NULL};

    assert_int_equal(member_id_make(ab, "t"), member_id_make(ba, "t"));
    assert_int_not_equal(member_id_make(ab, "t"), member_id_make(ab, "u"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_upstreams),
        cmocka_unit_test(order_of_urls_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
