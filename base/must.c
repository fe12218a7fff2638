/*
 * must - the end of a process whose own reasoning turned out wrong.
 *
 * Only write(2) and abort(3) are used: the heap, stdio or the log may be what is broken.
 */
#include "base/must.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"

enum { REPORT_BYTES_MAX = 512 };

_Noreturn void must_fail(const char *condition, const char *file, int line)
{
    uint8_t memory[REPORT_BYTES_MAX];
    struct buf report = buf_over(memory, REPORT_BYTES_MAX - 1);

    BUF_LIT(&report, "must: ");
    buf_put_cstr(&report, file);
    buf_put_c(&report, ':');
    buf_put_i64(&report, line);
    BUF_LIT(&report, ": broken: ");
    buf_put_cut(&report, bytes_of_cstr(condition));
    memory[report.len++] = '\n';

    ssize_t written = write(STDERR_FILENO, report.ptr, report.len);
    (void)written; /* nobody is left to be told */
    abort();
}
