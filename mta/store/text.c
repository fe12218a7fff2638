/* text - see text.h. */
#include "mta/store/text.h"

#include <errno.h>
#include <unistd.h>

enum { COPY_BYTES = 64 * 1024, HELD_BYTES = 8 };
enum { LINE_BEGIN = 0, FROM_HELD_MAX = 4, LINE_ELSEWHERE = 5 };
static const uint8_t from_word[] = {'F', 'r', 'o', 'm', ' '};

enum err text_write(int fd, struct bytes text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_from_errno(errno);
        if (n == 0) return ERR_IO;
        text = bytes_from(text, (uint32_t)n);
    }
    return ERR_NONE;
}

/* let_go - the octets of "From" that were held back. */
static void let_go(struct text *t, struct buf *out)
{
    if (t->place > LINE_BEGIN && t->place <= FROM_HELD_MAX) buf_put(out, bytes_of(from_word, t->place));
}

/* put_octet - one octet of a line for an mbox. A ">" may stand before any of those that a line begins with: it is put before "From ". */
static void put_octet(struct text *t, uint8_t c, struct buf *out)
{
    if (t->place <= FROM_HELD_MAX && c == from_word[t->place]) {
        if (t->place < FROM_HELD_MAX) {
            t->place++;
            return;
        }
        buf_put_c(out, '>');
        let_go(t, out);
        t->place = LINE_ELSEWHERE;
    } else {
        let_go(t, out);
        bool quotes = t->place == LINE_BEGIN && c == '>';
        t->place = quotes ? LINE_BEGIN : LINE_ELSEWHERE;
    }
    buf_put_c(out, c);
    if (c == '\n') t->place = LINE_BEGIN;
}

static void put(struct text *t, uint8_t c, struct buf *out)
{
    if (t->mbox) put_octet(t, c, out);
    else buf_put_c(out, c);
    t->ended = c == '\n';
}

enum err text_put(struct text *t, struct bytes text)
{
    static uint8_t out_bytes[2 * COPY_BYTES + HELD_BYTES]; /* each octet makes itself and at most one more */
    while (text.len) {
        struct bytes part = bytes_slice(text, 0, COPY_BYTES / 2);
        struct buf out = BUF_OVER(out_bytes);
        for (uint32_t i = 0; i < part.len; i++) {
            uint8_t c = part.ptr[i];
            if (t->cr && c != '\n') put(t, '\r', &out);
            t->cr = c == '\r';
            if (!t->cr) put(t, c, &out);
        }
        enum err e = text_write(t->fd, buf_bytes(&out));
        if (e != ERR_NONE) return e;
        text = bytes_from(text, part.len);
    }
    return ERR_NONE;
}

static enum err put_file(struct text *t, const struct maildir_message *m)
{
    static uint8_t in[COPY_BYTES];
    uint64_t done = 0;
    while (done < m->body_bytes) {
        uint64_t left = m->body_bytes - done;
        ssize_t n = pread(m->fd, in, left < sizeof in ? (size_t)left : sizeof in, (off_t)(m->body_skip + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_from_errno(errno);
        if (n == 0) return ERR_SHORT;
        enum err e = text_put(t, bytes_of(in, (uint32_t)n));
        if (e != ERR_NONE) return e;
        done += (uint64_t)n;
    }
    return ERR_NONE;
}

/* put_end - what is held back, and for an mbox the end of the last line and an empty one. */
static enum err put_end(struct text *t)
{
    uint8_t memory[HELD_BYTES + 8];
    struct buf out = BUF_OVER(memory);
    if (t->cr) put(t, '\r', &out);
    if (t->mbox) {
        let_go(t, &out);
        buf_put_cstr(&out, t->ended ? "\n" : "\n\n");
    }
    return text_write(t->fd, buf_bytes(&out));
}

enum err text_message(struct text *t, const struct maildir_message *m)
{
    uint8_t head_bytes[2 * MAIL_ADDRESS_BYTES_MAX + 64];
    struct buf head = BUF_OVER(head_bytes);
    BUF_LIT(&head, "Return-Path: <");
    buf_put(&head, m->sender);
    BUF_LIT(&head, ">\r\nDelivered-To: ");
    buf_put(&head, m->rcpt);
    BUF_LIT(&head, "\r\n");
    enum err e = text_put(t, buf_bytes(&head));
    if (e == ERR_NONE) e = text_put(t, m->prefix);
    if (e == ERR_NONE) e = m->fd >= 0 ? put_file(t, m) : text_put(t, m->content);
    return e == ERR_NONE ? put_end(t) : e;
}
