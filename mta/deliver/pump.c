/* pump - from prefix and body to octets on the wire: dot-stuffed, a flight at a time. */
#include <errno.h>
#include <unistd.h>

#include "mta/deliver/deliver.h"

enum { READ_BYTES = 32 * 1024, END_BYTES_MAX = 8 };

void pump_begin(struct session *s)
{
    s->source = CONTENT_PREFIX;
    s->source_done = 0;
    smtp_stuff_init(&s->stuffer);
}

/* put - stuff what fits of one slice; true when all of it is in. */
static bool put(struct session *s, struct bytes text, struct buf *out)
{
    uint32_t used = 0;
    smtp_stuff(&s->stuffer, bytes_from(text, (uint32_t)s->source_done), &used, out);
    s->source_done += used;
    return s->source_done == text.len;
}

/* put_file - the same from the body's descriptor. */
static enum err put_file(struct session *s, struct buf *out, bool *all)
{
    static uint8_t in[READ_BYTES];
    const struct job *job = s->job;
    while (s->source_done < job->body_bytes) {
        uint64_t left = job->body_bytes - s->source_done;
        ssize_t n = pread(job->body_fd, in, left < sizeof in ? (size_t)left : sizeof in, (off_t)(job->body_skip + s->source_done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_from_errno(errno);
        if (n == 0) return ERR_SHORT;
        uint32_t used = 0;
        smtp_stuff(&s->stuffer, bytes_of(in, (uint32_t)n), &used, out);
        s->source_done += used;
        if (used < (uint32_t)n) return ERR_NONE;
    }
    *all = true;
    return ERR_NONE;
}

enum err pump_fill(struct session *s, struct buf *out, bool *end)
{
    const struct job *job = s->job;
    *end = false;
    struct buf room = buf_over(out->ptr, out->cap - END_BYTES_MAX); /* the end always fits */
    if (s->source == CONTENT_PREFIX && put(s, job->prefix, &room)) {
        s->source = CONTENT_BODY;
        s->source_done = 0;
    }
    if (s->source == CONTENT_BODY) {
        bool all = false;
        enum err e = ERR_NONE;
        if (job->body_fd < 0) all = put(s, job->content, &room);
        else e = put_file(s, &room, &all);
        if (e != ERR_NONE) return e;
        if (all) s->source = CONTENT_END;
    }
    out->len = room.len;
    if (s->source != CONTENT_END) return ERR_NONE;
    smtp_stuff_end(&s->stuffer, out);
    *end = true;
    s->source = CONTENT_NONE;
    return ERR_NONE;
}
