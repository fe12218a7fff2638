/*
 * bytes_fuzz - foreign octets on their way into logs, JSON and numbers: escaped ones are printable and say what they were, JSON reads back, and the judges of
 * UTF-8 and of decimal numbers agree with plain readings of their definitions.
 */
#include <stddef.h>

#include "base/json.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 2048, OUTPUT_BYTES_MAX = 6 * INPUT_BYTES_MAX + 8 };

/* sequence_bytes - octets of the UTF-8 sequence at the start (RFC 3629, section 4, by value), 0 when there is none. */
static uint32_t sequence_bytes(struct bytes t)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t c = t.ptr[0];
    uint32_t n = c < 0x80 ? 1 : c >= 0xc0 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf8 ? 4 : 0;
    if (n == 0 || n > t.len) return 0;
    uint32_t value = n == 1 ? c : c & (0x7fu >> n);
    for (uint32_t i = 1; i < n; i++) {
        if ((t.ptr[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (t.ptr[i] & 0x3f);
    }
    return value < smallest[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) ? 0 : n;
}

static bool is_utf8(struct bytes t)
{
    while (t.len > 0) {
        uint32_t n = sequence_bytes(t);
        if (n == 0) return false;
        t = bytes_from(t, n);
    }
    return true;
}

static void check_escaped(struct bytes in, uint32_t max, uint32_t room)
{
    static uint8_t memory[OUTPUT_BYTES_MAX];
    struct buf out = buf_over(memory, room);
    buf_put_escaped(&out, in, max);
    for (uint32_t i = 0; i < out.len; i++) must(memory[i] >= ' ' && memory[i] < 127);
    /* What was written is undone octet by octet. */
    uint32_t at = 0, said = 0;
    uint32_t whole = in.len < max ? in.len : max;
    for (; at < out.len && said < whole; said++) {
        uint8_t c = in.ptr[said];
        if (memory[at] != '\\') {
            must(memory[at++] == c);
        } else if (c == '\\') {
            must(at + 2 <= out.len && memory[at + 1] == '\\');
            at += 2;
        } else {
            must(at + 4 <= out.len && memory[at + 1] == 'x');
            at += 4;
        }
    }
    must(out.overflow || said == whole);
    must(at == out.len || (in.len > max && bytes_starts(BYTES("..."), bytes_from(buf_bytes(&out), at))));
}

static void check_json(struct bytes in)
{
    static uint8_t written_memory[OUTPUT_BYTES_MAX], read_memory[OUTPUT_BYTES_MAX];
    struct buf written = BUF_OVER(written_memory), back = BUF_OVER(read_memory);
    struct bytes value;
    json_open(&written, NULL, '{');
    json_text(&written, "k", in);
    json_u64(&written, "n", in.len);
    json_close(&written, '}');
    must(!written.overflow && bytes_is_utf8(buf_bytes(&written)));
    must(json_member(buf_bytes(&written), "k", &value));
    struct bytes text = json_unquote(value, &back);
    if (bytes_is_utf8(in)) must(bytes_equal(text, in));
    must(json_member(buf_bytes(&written), "n", &value) && json_number(value) == in.len);
}

static void check_number(struct bytes in)
{
    uint8_t memory[20];
    struct buf out = BUF_OVER(memory);
    uint64_t value;
    if (!bytes_to_u64(in, &value)) return;
    while (in.len > 1 && in.ptr[0] == '0') in = bytes_from(in, 1);
    buf_put_u64(&out, value);
    must(bytes_equal(buf_bytes(&out), in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_BYTES_MAX) return 0;
    struct bytes in = bytes_of(data + 2, (uint32_t)size - 2);
    must(bytes_is_utf8(in) == is_utf8(in));
    check_escaped(in, data[0], OUTPUT_BYTES_MAX);
    check_escaped(in, INPUT_BYTES_MAX, data[1]);
    check_json(in);
    check_number(in);
    return 0;
}
