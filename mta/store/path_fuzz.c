/*
 * path_fuzz - any recipient over any pattern: what is taken stays below its folder. The first octet picks a pattern that administrators write, or says how
 * long the pattern in the input is.
 */
#include <stddef.h>

#include "base/must.h"
#include "mta/store/maildir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct bytes patterns[] = {
    BYTES_INIT("{domain}/{local}"), BYTES_INIT("{local}"), BYTES_INIT("{local}/Maildir/"), BYTES_INIT("mail/{domain}/x-{local}-y"),
    BYTES_INIT("{local}{domain}"), BYTES_INIT("{local}.d/{local}"),
};
enum { PATTERN_COUNT = sizeof patterns / sizeof *patterns, COMPONENT_BYTES_MAX = 255 };

/* check_path - as the kernel will read it: every component a plain name. */
static void check_path(struct bytes path)
{
    uint32_t components = 0;
    must(path.len <= MAILDIR_PATH_BYTES_MAX);
    while (path.len > 0) {
        struct bytes one = bytes_slice(path, 0, bytes_find(path, '/'));
        must(one.len > 0 && one.len <= COMPONENT_BYTES_MAX && ++components <= MAILDIR_COMPONENTS_MAX);
        must(!bytes_equal(one, BYTES(".")) && !bytes_equal(one, BYTES("..")));
        path = bytes_from(path, one.len + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t memory[MAILDIR_PATH_BYTES_MAX];
    struct buf path = BUF_OVER(memory);
    if (size < 1 || size > 4096) return 0;
    struct bytes in = bytes_of(data + 1, (uint32_t)size - 1);
    bool ours = data[0] < PATTERN_COUNT;
    uint32_t pattern_bytes = ours ? 0 : data[0] - PATTERN_COUNT;
    struct bytes pattern = ours ? patterns[data[0]] : bytes_slice(in, 0, pattern_bytes), rcpt = bytes_from(in, pattern_bytes);
    if (!maildir_path(pattern, rcpt, &path)) return 0;
    struct bytes text = buf_bytes(&path);
    must(text.len > 0 || pattern.len == 0);
    check_path(text);
    /* No recipient brings an octet that ends names or ends lines; what a pattern has is the administrator's. */
    for (uint32_t i = 0; ours && i < text.len; i++) must(text.ptr[i] >= ' ' && text.ptr[i] != 127 && ascii_lower(text.ptr[i]) == text.ptr[i]);
    return 0;
}
