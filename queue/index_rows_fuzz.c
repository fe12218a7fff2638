/*
 * index_rows_fuzz - rows of the index as a damaged disk could give them. The input's CRC is made right, so that the decoders behind it are reached.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/must.h"
#include "queue/index_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* again - what was decoded encodes to a row that is good too. */
static void again(enum index_table table, struct bytes key, struct bytes row)
{
    uint8_t memory[INDEX_ROW_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    struct index_message message;
    struct index_rcpt rcpt;
    struct index_destination destination;
    if (table == INDEX_MESSAGE && index_message_decode(key, row, &message) == ERR_NONE) index_message_encode(&out, key, &message);
    if (table == INDEX_RECIPIENT && index_rcpt_decode(key, row, &rcpt) == ERR_NONE) index_rcpt_encode(&out, key, &rcpt);
    if (table == INDEX_DESTINATION && index_destination_decode(key, row, &destination) == ERR_NONE) index_destination_encode(&out, key, &destination);
    if (out.len > 0) must(index_row_check(table, key, buf_bytes(&out)) == ERR_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { CRC_BYTES = 4 };
    if (size < 2 || size > INDEX_ROW_BYTES_MAX) return 0;
    enum index_table table = (enum index_table)(data[0] % INDEX_TABLE_COUNT);
    uint32_t key_bytes = data[1] % (INDEX_KEY_BYTES_MAX + 1);
    if (size - 2 < key_bytes) return 0;
    struct bytes key = bytes_of(data + 2, key_bytes), content = bytes_of(data + 2 + key_bytes, (uint32_t)size - 2 - key_bytes);
    (void)!index_row_check(table, key, content);

    uint8_t *row = malloc(content.len + CRC_BYTES);
    must(row != NULL);
    if (content.len) memcpy(row, content.ptr, content.len);
    uint8_t tag = (uint8_t)table;
    struct buf tail = buf_over(row + content.len, CRC_BYTES);
    buf_put_le(&tail, crc32c(crc32c(crc32c(0, bytes_of(&tag, 1)), key), content), CRC_BYTES);
    struct bytes sealed = bytes_of(row, content.len + CRC_BYTES);
    if (index_row_check(table, key, sealed) == ERR_NONE) again(table, key, sealed);
    free(row);
    return 0;
}
