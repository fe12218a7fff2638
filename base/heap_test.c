/*
 * Tests of the heap against a plain search.
 */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"

enum { NODES = 500, STEPS = 20000 };

static struct heap_node nodes[NODES];

/* smallest - the least key among nodes that are in, or UINT64_MAX. */
static uint64_t smallest(void)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < NODES; i++) {
        if (nodes[i].place != 0 && nodes[i].key < least) least = nodes[i].key;
    }
    return least;
}

static void test_heap_empty_has_no_first(void **unused)
{
    struct heap h;
    struct heap_node n = {0};
    (void)unused;
    assert_int_equal(heap_init(&h, 0), ERR_NONE);
    assert_null(heap_first(&h));
    heap_remove(&h, &n);
    assert_int_equal(heap_put(&h, &n, 5), ERR_NONE);
    assert_ptr_equal(heap_first(&h), &n);
    assert_int_equal(n.place, 1);
    heap_fini(&h);
    assert_int_equal(n.place, 0);
}

static void test_heap_first_is_least_after_any_change(void **unused)
{
    struct heap h;
    uint64_t random = 1;
    (void)unused;
    assert_int_equal(heap_init(&h, 2), ERR_NONE);
    for (uint32_t step = 0; step < STEPS; step++) {
        random = hash_mix(random + step);
        struct heap_node *node = &nodes[random % NODES];
        if (random >> 32 & 1) assert_int_equal(heap_put(&h, node, random >> 40 & 0x3FF), ERR_NONE);
        else heap_remove(&h, node);
        if (step % 16 != 0) continue;
        struct heap_node *first = heap_first(&h);
        assert_true((first ? first->key : UINT64_MAX) == smallest());
    }

    uint64_t last = 0;
    while (heap_first(&h)) {
        struct heap_node *first = heap_first(&h);
        assert_true(first->key >= last);
        last = first->key;
        heap_remove(&h, first);
    }
    assert_int_equal(h.count, 0);
    heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_empty_has_no_first),
        cmocka_unit_test(test_heap_first_is_least_after_any_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
