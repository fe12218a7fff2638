/* Fuzzer of the JSON reader: whatever the text, slices stay inside it and every walk ends. */
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct bytes whole, struct bytes part)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t memory[4096];
    if (size > sizeof memory) return 0;
    struct bytes text = bytes_of(data, (uint32_t)size), value, rest = json_elements(text);
    struct buf out = BUF_OVER(memory);
    uint32_t steps = 0;
    if (json_member(text, "a", &value)) must(inside(text, value));
    while (json_next(&rest, &value)) {
        must(inside(text, value) && value.len > 0 && steps++ <= text.len);
        (void)json_unquote(value, &out);
        (void)json_number(value);
    }
    return 0;
}
