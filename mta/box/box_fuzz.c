/* Fuzzer of the manager's reading: any octets as a slot or a header. First octet: 0 = raw slot, 1 = a sound slot that is scribbled over. */
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "mta/box/box.h"
#include "mta/box/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[BOX_HEADER_BYTES + BOX_SLOT_BYTES] __attribute__((aligned(64)));

static void check(const struct box_slot *copy)
{
    struct box_view v;
    uint32_t sum = 0;
    enum box_condition c = box_view(copy, &v);
    must(v.step < STEP_COUNT && v.bytes.len <= BOX_BYTES_MAX && v.rcpt_count <= BOX_RCPTS_MAX);
    for (uint32_t i = 0; i < v.bytes.len; i++) sum += v.bytes.ptr[i];
    for (uint32_t i = 0; v.rcpts && i < v.rcpt_count; i++) sum += v.rcpts[i];
    if (v.each) must(v.answered <= BOX_ANSWERS_MAX && v.answered <= v.rcpt_count && v.dot != BOX_DOT_CODE);
    for (uint32_t spoiled = 0; spoiled < 2; spoiled++) {
        enum box_found found = box_found(c, &v, spoiled, 500, 3);
        enum box_rule plain = box_rule(found, false), suspect = box_rule(found, true);
        if (plain == RULE_EACH) {
            static uint16_t out[BOX_RCPTS_MAX];
            must(c == BOX_SOUND && suspect == RULE_EACH && v.phase == BOX_AFTER && v.attempt == 500 && v.rcpt_count == 3);
            box_each(&v, spoiled, out);
            for (uint32_t i = 0; i < v.rcpt_count; i++) must((out[i] == 0) == ((v.rcpts[i] & BOX_RCPT_JUDGED) != 0));
        }
        if (suspect == RULE_COMMIT) must(c == BOX_SOUND && v.dot_code / 100 == 2 && v.attempt == 500 && v.rcpts);
        if (plain == RULE_COMMIT) must(c == BOX_SOUND && v.dot == BOX_DOT_CODE && v.rcpts);
    }
    __asm__ volatile("" : : "r"(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct box_slot slot;
    if (size < 5) return 0;
    struct box box = {memory, 1, 2, true};
    memset(memory, 0, sizeof memory);
    memset(&slot, 0, sizeof slot);
    box_start(&box);
    if (data[0] % 2) {
        struct box_slot *s = box_slot(&box, 0);
        box_open(&box, 0, 9);
        box_attempt(&box, s, 500, 3);
        bool each = data[1] & 8;
        if (data[1] % 2) box_dot_intent(&box, s, each);
        if (data[1] % 4 == 3 && each) box_answer(&box, s, 250);
        else if (data[1] % 4 == 3) box_dot(&box, s, BOX_DOT_CODE, 250);
        slot = *s;
    }
    size_t at = (data[2] | (size_t)data[3] << 8) % sizeof slot, n = size - 4;
    memcpy((uint8_t *)&slot + at, data + 4, n < sizeof slot - at ? n : sizeof slot - at);
    check(&slot);
    (void)box_header_sound((const struct box_header *)(const void *)&slot);
    return 0;
}
