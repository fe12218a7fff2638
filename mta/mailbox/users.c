/* users - names of passwd(5). Only the name and the number are looked at: the master looks up all else itself. */
#include <stdlib.h>
#include <unistd.h>

#include "mta/mailbox/mailbox.h"

enum err users_read(struct users *u, int fd)
{
    uint8_t *text = malloc(USERS_BYTES_MAX);
    uint32_t len = 0;
    ssize_t n = text ? 1 : -1;
    while (n > 0 && len < USERS_BYTES_MAX) {
        n = pread(fd, text + len, USERS_BYTES_MAX - len, (off_t)len);
        if (n > 0) len += (uint32_t)n;
    }
    close(fd);
    if (n != 0) { /* unreadable, or too long to be all of it */
        free(text);
        return text ? ERR_TOO_LONG : ERR_NO_MEMORY;
    }
    free(u->text);
    uint8_t *less = realloc(text, len + 1);
    *u = (struct users){less ? less : text, len, true};
    return ERR_NONE;
}

/* number_of - the third field. */
static bool number_of(struct bytes line, uint32_t *uid)
{
    uint64_t value;
    struct bytes rest = bytes_from(line, bytes_find(line, ':') + 1);
    rest = bytes_from(rest, bytes_find(rest, ':') + 1);
    if (!bytes_to_u64(bytes_slice(rest, 0, bytes_find(rest, ':')), &value) || value > UINT32_MAX) return false;
    *uid = (uint32_t)value;
    return true;
}

static bool has_user(const struct users *u, struct bytes name, uint32_t *uid)
{
    struct bytes rest = bytes_of(u->text, u->len);
    while (rest.len) {
        uint32_t end = bytes_find(rest, '\n');
        struct bytes line = bytes_slice(rest, 0, end);
        if (line.len > name.len && line.ptr[name.len] == ':' && bytes_starts(line, name)) return number_of(line, uid);
        rest = bytes_from(rest, end + 1);
    }
    return false;
}

static bool can_be_a_name(struct bytes name)
{
    if (name.len == 0 || name.len > LOCAL_USER_BYTES_MAX || name.ptr[0] == '-' || name.ptr[0] == '.') return false;
    for (uint32_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_' && c != '-' && c != '.' && c != '+') return false;
    }
    return true;
}

bool users_of(const struct users *u, struct bytes rcpt, struct buf *name, uint32_t *uid)
{
    struct bytes local = mail_local(rcpt);
    uint32_t plus = bytes_find(local, '+');
    uint32_t lengths[] = {local.len, plus};
    for (uint32_t k = 0; k < (plus < local.len ? 2u : 1u); k++) {
        if (lengths[k] > LOCAL_USER_BYTES_MAX) continue;
        name->len = 0;
        for (uint32_t i = 0; i < lengths[k]; i++) buf_put_c(name, ascii_lower(local.ptr[i]));
        if (!name->overflow && can_be_a_name(buf_bytes(name)) && has_user(u, buf_bytes(name), uid)) return true;
    }
    return false;
}
