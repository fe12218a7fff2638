#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "mta/ipc/secrecy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read is written back the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct secrecy s;
    struct bytes in = bytes_of(data, (uint32_t)size);
    uint8_t memory[SECRECY_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    if (!secrecy_read(in, &s)) return 0;
    secrecy_put(&out, &s);
    must(!out.overflow && bytes_equal(buf_bytes(&out), in));
    struct cursor c = cursor_over(s.tlsa);
    struct tlsa_record r;
    while (tlsa_next(&c, &r)) must(r.data.len <= s.tlsa.len);
    must(!c.failed);
    return 0;
}
