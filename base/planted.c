/* planted - see planted.h. */
#include "base/planted.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wild_write(void)
{
    volatile uint64_t *nowhere = (volatile uint64_t *)(uintptr_t)0xdead0000u;
    for (;;) *nowhere++ = 0x4141414141414141u;
}

static void endless_loop(void)
{
    for (volatile uint64_t n = 0;; n++) {}
}

/* Address space is what is limited: nothing is touched, so that the machine that tests this does not suffer. */
static void memory_ends(void)
{
    enum { PIECE = 64 << 20 };
    volatile uint8_t *p;
    do p = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    while (p != MAP_FAILED);
    p = malloc(PIECE);
    p[0] = 1; /* as code that does not ask would */
    abort();
}

static void forbidden_call(void)
{
    (void)syscall(SYS_getppid);
    (void)syscall(SYS_execve, "/bin/true", NULL, NULL);
    abort();
}

static const struct { const char *form; void (*die)(void); } forms[] = {
    {"wild", wild_write}, {"abort", abort}, {"loop", endless_loop}, {"memory", memory_ends}, {"call", forbidden_call}, {"scribble", wild_write},
};

static bool starts(struct bytes *in, struct bytes word)
{
    if (!bytes_starts_nocase(*in, word)) return false;
    *in = bytes_from(*in, word.len);
    return true;
}

void planted_fault(const char *where, struct bytes in, void *box, uint64_t box_bytes)
{
    for (; in.len >= 8; in = bytes_from(in, 1)) {
        struct bytes rest = in;
        if (!starts(&rest, BYTES("planted-")) || !starts(&rest, bytes_of_cstr(where)) || !starts(&rest, BYTES("-"))) continue;
        for (uint32_t i = 0; i < sizeof forms / sizeof *forms; i++) {
            if (!bytes_starts_nocase(rest, bytes_of_cstr(forms[i].form))) continue;
            if (forms[i].form[0] == 's' && box) memset(box, 0xa5, box_bytes);
            forms[i].die();
        }
    }
}
