/* Fuzzer of the request line: what parses can be put again, and parses to the same. */
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "mta/ipc/admin.h"
#include "mta/ipc/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t texts_memory[ADMIN_TEXTS_BYTES_MAX], again_memory[ADMIN_TEXTS_BYTES_MAX], line_memory[ADMIN_LINE_BYTES_MAX];
    if (size > ADMIN_LINE_BYTES_MAX) return 0;
    struct buf texts = BUF_OVER(texts_memory), again = BUF_OVER(again_memory), line = BUF_OVER(line_memory);
    struct ipc_admin m, n;
    const char *why;
    if (admin_line_parse(bytes_of(data, (uint32_t)size), &texts, &m, &why) != ERR_NONE) return 0;
    admin_line_put(&line, &m);
    must(!line.overflow && line.len > 0);
    must(admin_line_parse(bytes_of(line.ptr, line.len - 1), &again, &n, &why) == ERR_NONE);
    must(m.verb == n.verb && m.message.v == n.message.v && m.limit == n.limit && bytes_equal(m.reason, n.reason) && bytes_equal(m.to, n.to));
    return 0;
}
