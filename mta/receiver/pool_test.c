/* Tests of the pool of chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mta/receiver/pool.h"

enum { CHUNKS = 64 };

static int make_pool(void **state)
{
    static struct pool p;
    if (pool_init(&p, CHUNKS) != ERR_NONE) return -1;
    *state = &p;
    return 0;
}

static int end_pool(void **state)
{
    pool_fini(*state);
    return 0;
}

static void test_pool_content_leaves_the_reserve_alone(void **state)
{
    struct pool *p = *state;
    struct chain c = chain_empty(), mine = chain_empty();
    while (chain_extend(p, &c, POOL_FOR_CONTENT) != POOL_NONE) {}
    assert_int_equal(c.count, CHUNKS - CHUNKS / 16);
    assert_false(pool_has(p, POOL_FOR_CONTENT));
    assert_true(pool_is_short(p));
    while (chain_extend(p, &mine, POOL_FOR_SESSION) != POOL_NONE) {}
    assert_int_equal(mine.count, CHUNKS / 16);
    chain_give(p, &c);
    chain_give(p, &mine);
    assert_int_equal(p->free_count, CHUNKS);
    assert_false(pool_is_short(p));
}

static void test_pool_chunk_given_back_is_taken_next(void **state)
{
    struct pool *p = *state;
    struct chain c = chain_empty();
    uint32_t first = chain_extend(p, &c, POOL_FOR_CONTENT);
    chain_give(p, &c);
    assert_int_equal(chain_extend(p, &c, POOL_FOR_CONTENT), first);
    assert_int_equal(p->chunks[first].used, 0);
    chain_give(p, &c);
}

static void test_chain_gather_keeps_order_and_stops_where_told(void **state)
{
    struct pool *p = *state;
    struct chain c = chain_empty();
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t chunk = chain_extend(p, &c, POOL_FOR_CONTENT);
        memset(pool_memory(p, chunk), 'a' + (int)i, 2);
        p->chunks[chunk].used = 2;
    }
    uint8_t memory[16];
    struct buf out = BUF_OVER(memory);
    uint32_t next = chain_gather(p, c.first, 2, &out);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("aabb")));
    assert_int_equal(next, c.last);
    assert_int_equal(chain_gather(p, next, 9, &out), POOL_NONE);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("aabbcc")));
    assert_int_equal(chain_bytes(p, &c), 6);
    chain_drop_first(p, &c);
    assert_int_equal(c.count, 2);
    chain_give(p, &c);
    assert_int_equal(c.first, POOL_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pool_content_leaves_the_reserve_alone, make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_pool_chunk_given_back_is_taken_next, make_pool, end_pool),
        cmocka_unit_test_setup_teardown(test_chain_gather_keeps_order_and_stops_where_told, make_pool, end_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
