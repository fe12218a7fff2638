/*
 * secrecy - see secrecy.h.
 */
#include "mta/ipc/secrecy.h"

#include <assert.h>

#include "mta/ipc/messages.h"

static_assert((int)SECRECY_BYTES_MAX == (int)IPC_SECRECY_BYTES_MAX, "CONNECT and SOCKET carry all of it");

void secrecy_put(struct buf *out, const struct secrecy *s)
{
    buf_put_c(out, s->level);
    buf_put_c(out, s->first);
    buf_put_c(out, (uint8_t)s->name.len);
    buf_put(out, s->name);
    buf_put(out, s->tlsa);
}

bool secrecy_read(struct bytes in, struct secrecy *s)
{
    *s = (struct secrecy){0};
    if (in.len < 3 || in.len > SECRECY_BYTES_MAX || in.ptr[0] >= SECRECY_LEVELS || in.ptr[1] > 1 || in.ptr[2] > in.len - 3) return false;
    s->level = in.ptr[0];
    s->first = in.ptr[1];
    s->name = bytes_slice(in, 3, in.ptr[2]);
    s->tlsa = bytes_from(in, 3 + s->name.len);
    struct cursor c = cursor_over(s->tlsa);
    struct tlsa_record r;
    while (tlsa_next(&c, &r)) {}
    return !c.failed && s->tlsa.len <= TLSA_BYTES_MAX;
}

void tlsa_put(struct buf *list, const struct tlsa_record *r)
{
    if (r->data.len > UINT16_MAX || buf_room(list) < 5 + r->data.len) {
        list->overflow = true;
        return;
    }
    buf_put_c(list, r->usage);
    buf_put_c(list, r->selector);
    buf_put_c(list, r->matching);
    buf_put_le(list, r->data.len, 2);
    buf_put(list, r->data);
}

bool tlsa_next(struct cursor *c, struct tlsa_record *r)
{
    if (cursor_left(c) == 0) return false;
    struct bytes head = cursor_take(c, 3);
    uint32_t bytes = (uint32_t)cursor_le(c, 2);
    if (c->failed) return false;
    *r = (struct tlsa_record){.usage = head.ptr[0], .selector = head.ptr[1], .matching = head.ptr[2]};
    r->data = cursor_take(c, bytes);
    return !c->failed;
}
