/* Fuzzer that holds two readers of one reply together: what the total function calls a whole reply is one to the parser, with the same code. */
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "mta/box/dot.h"
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct smtp_reply r;
    struct dot d = {0};
    uint32_t used = 0;
    if (size > 512 * 1024) return 0;
    struct bytes in = bytes_of(data, (uint32_t)size);
    smtp_reply_init(&r);
    enum smtp_feed fed = smtp_reply_feed(&r, in, &used);
    enum box_dot dot = dot_feed(&d, in);
    must((fed == SMTP_DONE) == (dot == BOX_DOT_CODE) && (fed == SMTP_GARBLED) == (dot == BOX_DOT_JUNK));
    if (fed == SMTP_DONE) must(r.code == d.code);
    return 0;
}
