/*
 * Fuzzer of the header scan: any split gives the same, nothing beyond its limits is kept, and it never says that it saw more
 * than there was.
 */
#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "smtp/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 16384) return 0;
    struct bytes in = bytes_of(data + 1, (uint32_t)size - 1);
    struct smtp_header_scan whole, pieces;
    smtp_header_init(&whole);
    smtp_header_init(&pieces);
    smtp_header_feed(&whole, in);
    uint32_t step = 1u + data[0];
    for (uint32_t pos = 0; pos < in.len; pos += step) smtp_header_feed(&pieces, bytes_slice(in, pos, step));
    must(whole.done == pieces.done && whole.header_bytes == pieces.header_bytes && whole.received_count == pieces.received_count);
    must(whole.has_8bit == pieces.has_8bit && whole.has_date == pieces.has_date && whole.has_from == pieces.has_from);
    must(whole.message_id_len == pieces.message_id_len && memcmp(whole.message_id, pieces.message_id, whole.message_id_len) == 0);

    must(whole.header_bytes <= in.len && whole.message_id_len <= MESSAGE_ID_BYTES_MAX);
    must(whole.done || whole.header_bytes == in.len);
    must(!whole.has_8bit || !bytes_is_ascii(bytes_slice(in, 0, (uint32_t)whole.header_bytes)));
    must((uint64_t)whole.received_count * sizeof("Received:") <= whole.header_bytes + whole.received_count);
    smtp_header_end(&whole);
    must(whole.done);
    return 0;
}
