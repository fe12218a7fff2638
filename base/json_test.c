/* JSON of our own: what the writer writes, the reader finds again; broken text gives "not there", never a wrong place. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_text(struct bytes got, struct bytes want)
{
    assert_int_equal(got.len, want.len);
    if (want.len) assert_memory_equal(got.ptr, want.ptr, want.len);
}

static void test_json_writer_puts_commas_where_they_belong(void **unused)
{
    (void)unused;
    uint8_t memory[200];
    struct buf b = BUF_OVER(memory);
    json_open(&b, NULL, '{');
    json_u64(&b, "n", 7);
    json_text(&b, "t", BYTES("a\"b"));
    json_open(&b, "list", '[');
    json_open(&b, NULL, '{');
    json_close(&b, '}');
    json_cstr(&b, NULL, "x");
    json_i64(&b, NULL, -3);
    json_close(&b, ']');
    json_bool(&b, "yes", true);
    json_close(&b, '}');
    assert_text(buf_bytes(&b), BYTES("{\"n\":7,\"t\":\"a\\\"b\",\"list\":[{},\"x\",-3],\"yes\":true}"));
}

static void test_json_member_is_found_behind_nested_values(void **unused)
{
    (void)unused;
    static const struct { const char *name; struct bytes text; const char *key; bool found; struct bytes value; } cases[] = {
        {"first", BYTES_INIT("{\"a\":1}"), "a", true, BYTES_INIT("1")},
        {"behind an object", BYTES_INIT("{\"a\":{\"b\":[\"}\",2]},\"b\":3}"), "b", true, BYTES_INIT("3")},
        {"blanks", BYTES_INIT(" { \"a\" : [ 1 , 2 ] , \"b\" : \"x\" } "), "b", true, BYTES_INIT("\"x\"")},
        {"an escaped quote", BYTES_INIT("{\"a\":\"\\\"\",\"b\":4}"), "b", true, BYTES_INIT("4")},
        {"a name that is a value", BYTES_INIT("{\"a\":\"b\"}"), "b", false, {0}},
        {"not there", BYTES_INIT("{\"a\":1}"), "b", false, {0}},
        {"no object", BYTES_INIT("[1]"), "b", false, {0}},
        {"cut in a string", BYTES_INIT("{\"a\":\"xx"), "a", false, {0}},
        {"cut in an array", BYTES_INIT("{\"a\":[1,"), "a", false, {0}},
        {"no colon", BYTES_INIT("{\"a\" 1}"), "a", false, {0}},
        {"empty", {0}, "a", false, {0}},
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes value = {0};
        if (json_member(cases[i].text, cases[i].key, &value) != cases[i].found) fail_msg("%s", cases[i].name);
        assert_text(value, cases[i].value);
    }
}

static void test_json_next_walks_an_array_to_its_end(void **unused)
{
    (void)unused;
    struct bytes rest = json_elements(BYTES("[1, {\"a\":[]} ,\"x,y\"]")), value;
    assert_true(json_next(&rest, &value));
    assert_text(value, BYTES("1"));
    assert_true(json_next(&rest, &value));
    assert_text(value, BYTES("{\"a\":[]}"));
    assert_true(json_next(&rest, &value));
    assert_text(value, BYTES("\"x,y\""));
    assert_false(json_next(&rest, &value));
    rest = json_elements(BYTES("[]"));
    assert_false(json_next(&rest, &value));
}

static void test_json_unquote_undoes_what_buf_put_json_does(void **unused)
{
    (void)unused;
    uint8_t written[200], read[200];
    struct bytes text = BYTES("a\"b\\c\n\r\t\x01 \xC3\xA9/");
    struct buf w = BUF_OVER(written), r = BUF_OVER(read);
    buf_put_json(&w, text);
    assert_text(json_unquote(buf_bytes(&w), &r), text);
    assert_text(json_unquote(BYTES("\"\\u00e9\\u20ac\""), &r), BYTES("\xC3\xA9\xE2\x82\xAC"));
    assert_text(json_unquote(BYTES("17"), &r), BYTES(""));
}

static void test_json_number_and_literal_are_judged(void **unused)
{
    (void)unused;
    assert_int_equal(json_number(BYTES("42")), 42);
    assert_int_equal(json_number(BYTES("-42")), -42);
    assert_int_equal(json_number(BYTES("4.2")), 0);
    assert_true(json_is_true(BYTES("true")));
    assert_false(json_is_true(BYTES("false")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_writer_puts_commas_where_they_belong),
        cmocka_unit_test(test_json_member_is_found_behind_nested_values),
        cmocka_unit_test(test_json_next_walks_an_array_to_its_end),
        cmocka_unit_test(test_json_unquote_undoes_what_buf_put_json_does),
        cmocka_unit_test(test_json_number_and_literal_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
