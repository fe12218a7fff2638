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
    struct segment_use use;
    struct index_meta meta;
    if (table == INDEX_MESSAGE && index_message_decode(key, row, &message) == ERR_NONE) index_message_encode(&out, key, &message);
    if (table == INDEX_RECIPIENT && index_rcpt_decode(key, row, &rcpt) == ERR_NONE) index_rcpt_encode(&out, key, &rcpt);
    if (table == INDEX_DESTINATION && index_destination_decode(key, row, &destination) == ERR_NONE) index_destination_encode(&out, key, &destination);
    if (table == INDEX_SEGMENT && index_segment_decode(key, row, &use) == ERR_NONE) index_segment_encode(&out, key, &use);
    if (table == INDEX_META && index_meta_decode(key, row, &meta) == ERR_NONE) index_meta_encode(&out, key, &meta);
    if (out.len > 0) must(index_row_check(table, key, buf_bytes(&out)) == ERR_NONE);
}

/* check_keys - what is read as a key is written as the same octets. */
static void check_keys(struct bytes key)
{
    uint8_t memory[4][INDEX_KEY_BYTES_MAX];
    struct buf out[4] = {BUF_OVER(memory[0]), BUF_OVER(memory[1]), BUF_OVER(memory[2]), BUF_OVER(memory[3])};
    struct message_id id;
    struct index_queued q;
    uint64_t a, b;
    uint32_t n;
    if (index_key_u64_get(key, &a)) index_key_u64(&out[0], a);
    if (index_key_rcpt_get(key, &id, &n)) index_key_rcpt(&out[1], id, n);
    if (index_key_pair_get(key, &a, &b)) index_key_pair(&out[2], a, b);
    if (index_key_queued_get(key, &q) && q.due_wall_s < INT64_MAX /* where later times end */) index_key_queued(&out[3], &q);
    for (uint32_t i = 0; i < 4; i++) must(out[i].len == 0 || bytes_equal(buf_bytes(&out[i]), key));
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
    check_keys(key);

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
