/*
 * config-reference - print every block and key of the configuration as mdoc(7), for the manual page mta.conf(5).
 */
#include <stdio.h>

#include "mta/config/config.h"

enum { REFERENCE_BYTES_MAX = 256 * 1024 }; /* some hundred keys with a few lines each */

int main(void)
{
    static uint8_t memory[REFERENCE_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    config_reference(&out);
    if (out.overflow || fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout) != 0) {
        fputs("config-reference: the reference could not be written\n", stderr);
        return 1;
    }
    return 0;
}
