#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/list.h"

struct item {
    struct list node;
    int n;
};

/* The numbers of a list as text, forwards; asserts that the way back says the same. */
static const char *text(struct list *head)
{
    static char out[64];
    size_t n = 0;

    list_for_each (it, head) {
        out[n++] = (char)('0' + container_of(it, struct item, node)->n);
        assert_ptr_equal(it->next->prev, it);
        assert_ptr_equal(it->prev->next, it);
    }
    out[n] = 0;
    return out;
}

static void nodes_stand_in_the_order_they_were_added(void **state)
{
    struct list head = LIST_INIT(head);
    struct item items[4];

    assert_true(list_empty(&head));
    assert_string_equal(text(&head), "");
    for (int i = 0; i < 4; i++) {
        items[i].n = i;
        if (i % 2)
            list_add_head(&head, &items[i].node);
        else
            list_add_tail(&head, &items[i].node);
    }
    assert_string_equal(text(&head), "3102");
    assert_int_equal(list_first(&head, struct item, node)->n, 3);
}

static void deleting_twice_is_safe(void **state)
{
    struct list head = LIST_INIT(head);
    struct item a = {.n = 1}, b = {.n = 2};

    list_add_tail(&head, &a.node);
    list_add_tail(&head, &b.node);
    list_del(&a.node);
    list_del(&a.node);
    assert_true(list_empty(&a.node));
    assert_string_equal(text(&head), "2");
    list_del(&b.node);
    assert_true(list_empty(&head));
}

static void the_current_node_may_go_inside_the_loop(void **state)
{
    struct list head = LIST_INIT(head);

    for (int i = 0; i < 5; i++) {
        struct item *item = xmalloc(sizeof *item);
        item->n = i;
        list_add_tail(&head, &item->node);
    }
    int seen = 0;
    list_for_each (it, &head) {
        struct item *item = container_of(it, struct item, node);
        seen += item->n;
        list_del(it);
        free(item);
    }
    assert_int_equal(seen, 10);
    assert_true(list_empty(&head));
}

static void splice_moves_everything_behind_the_last(void **state)
{
    struct list a = LIST_INIT(a), b = LIST_INIT(b);
    struct item items[4];

    for (int i = 0; i < 4; i++) {
        items[i].n = i;
        list_add_tail(i < 2 ? &a : &b, &items[i].node);
    }
    list_splice_tail(&a, &b);
    assert_string_equal(text(&a), "0123");
    assert_true(list_empty(&b));
    list_splice_tail(&a, &b);
    assert_string_equal(text(&a), "0123");
    list_splice_tail(&b, &a);
    assert_string_equal(text(&b), "0123");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_stand_in_the_order_they_were_added),
        cmocka_unit_test(deleting_twice_is_safe),
        cmocka_unit_test(the_current_node_may_go_inside_the_loop),
        cmocka_unit_test(splice_moves_everything_behind_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
