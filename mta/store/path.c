/* path - from a recipient to the relative path of a mailbox; refuses whatever could leave its folder. */
#include "base/limits.h"
#include "mta/store/maildir.h"

enum { COMPONENT_BYTES_MAX = 255 };

/* put_part - a recipient's local part or domain as one file name. */
static bool put_part(struct buf *path, struct bytes part)
{
    if (!part.len || part.len > COMPONENT_BYTES_MAX || part.ptr[0] == '.') return false;
    for (uint32_t i = 0; i < part.len; i++) {
        uint8_t c = part.ptr[i];
        if (c == '/' || c < ' ' || c == 127) return false;
        buf_put_c(path, ascii_lower(c));
    }
    return true;
}

/* sane - no empty component, none of one or two dots only. */
static bool sane(struct bytes path)
{
    uint32_t components = 0;
    struct bytes rest = path;
    while (rest.len) {
        uint32_t end = bytes_find(rest, '/');
        struct bytes one = bytes_slice(rest, 0, end);
        if (!one.len || one.len > COMPONENT_BYTES_MAX || bytes_equal(one, BYTES(".")) || bytes_equal(one, BYTES(".."))) return false;
        if (++components > MAILDIR_COMPONENTS_MAX) return false;
        if (end + 1 == rest.len) return false;
        rest = bytes_from(rest, end + 1);
    }
    return true;
}

bool maildir_path(struct bytes pattern, struct bytes rcpt, struct buf *path)
{
    static const struct bytes local = BYTES_INIT("{local}"), domain = BYTES_INIT("{domain}");
    struct bytes rest = pattern;
    while (rest.len) {
        if (bytes_starts(rest, local)) {
            if (!put_part(path, mail_local(rcpt))) return false;
            rest = bytes_from(rest, local.len);
        } else if (bytes_starts(rest, domain)) {
            if (!put_part(path, mail_domain(rcpt))) return false;
            rest = bytes_from(rest, domain.len);
        } else {
            buf_put_c(path, rest.ptr[0]);
            rest = bytes_from(rest, 1);
        }
    }
    return !path->overflow && sane(buf_bytes(path));
}
