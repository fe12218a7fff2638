/*
 * Fuzzer of recipient lists: whatever is taken must be within its limits, and must come out the same when packed again.
 */
#include <stddef.h>
#include <string.h>

#include "base/envelope.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t memory[RCPTS_RECORD_BYTES_MAX];
    struct rcpt r;
    struct message_id id;
    if (size > sizeof(memory)) return 0;

    struct bytes list = bytes_of(data, (uint32_t)size);
    struct cursor c = cursor_over(list);
    struct buf again = BUF_OVER(memory);
    uint32_t count = 0;
    while (rcpt_next(&c, &r)) {
        must(r.address.len > 0 && r.address.len <= MAIL_ADDRESS_BYTES_MAX && r.orcpt.len <= MAIL_ORCPT_BYTES_MAX);
        must(mail_local(r.address).len + mail_domain(r.address).len <= r.address.len);
        rcpt_put(&again, &r);
        count++;
    }
    must(!again.overflow);
    must(bytes_equal(buf_bytes(&again), bytes_slice(list, 0, again.len)));
    must((rcpt_list_check(list, count) == ERR_NONE) == !c.failed);

    if (message_id_parse(list, &id)) {
        again = BUF_OVER(memory);
        message_id_print(&again, id);
        must(bytes_equal_nocase(buf_bytes(&again), list));
    }
    return 0;
}
