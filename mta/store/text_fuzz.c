/*
 * text_fuzz - a message of any octets as an mbox: read back by the rules of mboxrd it is what went in, however it was cut, and nothing in it
 * begins another one.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/store/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1 << 16 };
static uint8_t back[4 * TEXT_MAX], want[TEXT_MAX + 8];

/* plain - the same with LF, which is what a mailbox has. */
static uint32_t plain(const uint8_t *data, uint32_t size)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < size; i++)
        if (data[i] != '\r' || i + 1 == size || data[i + 1] != '\n') want[n++] = data[i];
    return n;
}

/* unquote - one ">" less where ">...>From " begins a line; no line begins with "From ". */
static uint32_t unquote(uint8_t *text, uint32_t size)
{
    uint32_t out = 0;
    for (uint32_t at = 0; at < size;) {
        uint32_t end = at, from = at;
        while (end < size && text[end] != '\n') end++;
        while (from < end && text[from] == '>') from++;
        bool word = end - from >= 5 && memcmp(text + from, "From ", 5) == 0;
        must(!word || from > at);
        if (word) at++;
        uint32_t n = end - at + (end < size);
        memmove(text + out, text + at, n);
        out += n;
        at = end + 1;
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (size < 2 || size > TEXT_MAX) return 0;
    if (fd < 0) fd = memfd_create("mbox", 0);
    uint32_t n = (uint32_t)size - 1, cut = data[0] % (n + 1);
    must(fd >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    struct text t = {.fd = fd, .mbox = true};
    must(text_put(&t, bytes_of(data + 1, cut)) == ERR_NONE && text_put(&t, bytes_of(data + 1 + cut, n - cut)) == ERR_NONE);
    must(text_put(&t, BYTES("\n")) == ERR_NONE); /* lets go of what is held back */
    ssize_t got = pread(fd, back, sizeof back, 0);
    must(got > 0 && (size_t)got < sizeof back);
    uint32_t wanted = plain(data + 1, n);
    if (n > 0 && data[n] == '\r') wanted--; /* became the end of the line above */
    want[wanted++] = '\n';
    uint32_t length = unquote(back, (uint32_t)got);
    must(length == wanted && memcmp(back, want, wanted) == 0);
    return 0;
}
