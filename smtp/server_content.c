/*
 * server_content - message content of a session: DATA, BDAT chunks, and chunks that nobody wants but that must be eaten.
 *
 * The three are separate ways through separate readers. What they share is here: the process's room, the limits, and what is said at the end.
 * The end of good content is a need (SMTP_NEED_COMMIT), never a reply.
 */
#include <string.h>

#include "base/must.h"
#include "smtp/server_table.h"

void smtp_server_begin_content(struct smtp_server *s)
{
    must(s->transaction && s->rcpts > 0);
    s->data_bytes = 0;
    s->rate_began_ms = s->rate_bytes = 0;
    s->content_refusal.code = 0;
    smtp_header_init(&s->header);
    if (s->bdat) {
        smtp_chunk_init(&s->chunk, s->config->message_bytes_max);
        s->chunk.line_bytes_max = s->config->line_bytes_max;
    } else {
        smtp_body_init(&s->body, s->config->bare_newline, s->config->line_bytes_max, s->config->message_bytes_max);
    }
    s->awaiting = SMTP_NEED_BODY;
}

/* --- refused content --- */

/* keep_refusal - remember an answer until the content that it is about has been eaten. */
static void keep_refusal(struct smtp_server *s, const struct smtp_policy_answer *a)
{
    struct buf text = BUF_OVER(s->refusal_store);
    buf_put_cut(&text, a->text);
    s->content_refusal = *a;
    s->content_refusal.text = buf_bytes(&text);
}

static void say_refusal(struct smtp_server *s, struct smtp_server_effects *fx)
{
    struct smtp_policy_answer a = s->content_refusal;
    must(a.code >= 400);
    s->content_refusal.code = 0;
    smtp_server_policy(s, fx, &a, ENHANCED(2, 0, 0), ENHANCED(5, 0, 0));
}

bool smtp_server_draining(const struct smtp_server *s)
{
    /* In DATA a refusal waits for the dot, and the body reader does the eating. */
    return s->content_refusal.code != 0 && s->phase != SMTP_PHASE_DATA;
}

void smtp_server_refuse_chunk(struct smtp_server *s, struct smtp_server_effects *fx, uint64_t bytes, const struct smtp_policy_answer *a)
{
    smtp_server_reset(s);
    keep_refusal(s, a);
    s->drain_bytes = bytes;
    if (bytes == 0) say_refusal(s, fx);
}

uint32_t smtp_server_drain(struct smtp_server *s, struct bytes in, struct smtp_server_effects *fx)
{
    uint32_t eaten = in.len < s->drain_bytes ? in.len : (uint32_t)s->drain_bytes;
    s->drain_bytes -= eaten;
    if (s->drain_bytes == 0) say_refusal(s, fx);
    return eaten;
}

/* --- rate --- */

/* too_slow - account for content octets; true when a whole window had fewer than the least rate wants. */
static bool too_slow(struct smtp_server *s, uint32_t octets, uint64_t now_ms)
{
    if (s->rate_began_ms == 0) {
        s->rate_began_ms = now_ms ? now_ms : 1;
        s->rate_bytes = 0;
    }
    s->rate_bytes += octets;
    uint64_t elapsed_ms = now_ms > s->rate_began_ms ? now_ms - s->rate_began_ms : 0;
    if (elapsed_ms < SMTP_SERVER_RATE_WINDOW_MS) return false;
    bool slow = s->rate_bytes < elapsed_ms / 1000 * s->config->data_rate_min;
    s->rate_began_ms = now_ms;
    s->rate_bytes = 0;
    return slow;
}

/* count_octets - false when the session ended: too slow, or refused content without end. */
static bool count_octets(struct smtp_server *s, uint32_t octets, uint64_t now_ms, struct smtp_server_effects *fx)
{
    uint64_t max = s->config->message_bytes_max;
    s->data_bytes += octets;
    if (max <= UINT64_MAX / SMTP_SERVER_DRAIN_FACTOR && s->data_bytes / SMTP_SERVER_DRAIN_FACTOR > max) {
        smtp_server_end(s, fx, 552, ENHANCED(5, 3, 4), BYTES("Error: message size exceeds the limit that EHLO lists; closing"));
        return false;
    }
    if (too_slow(s, octets, now_ms)) {
        smtp_server_end_host(s, fx, 421, ENHANCED(4, 4, 2), "Error: message content comes too slowly; closing");
        return false;
    }
    return true;
}

/* --- ends --- */

static void end_refused(struct smtp_server *s, struct smtp_server_effects *fx, uint16_t code, struct enhanced e, struct bytes text)
{
    smtp_server_reset(s);
    smtp_server_fault(s, fx, code, e, text);
}

static void end_with_fault(struct smtp_server *s, struct smtp_server_effects *fx, uint8_t fault)
{
    switch (fault) {
    case SMTP_BODY_BARE_NEWLINE:
        end_refused(s, fx, 550, ENHANCED(5, 6, 0), BYTES("Error: a CR or LF stands alone; lines must end in CR LF"));
        break;
    case SMTP_BODY_LINE_TOO_LONG:
        end_refused(s, fx, 554, ENHANCED(5, 6, 0), BYTES("Error: a line is too long; encode the content (quoted-printable or base64)"));
        break;
    case SMTP_BODY_TOO_BIG:
        end_refused(s, fx, 552, ENHANCED(5, 3, 4), BYTES("Error: message size exceeds the limit that EHLO lists"));
        break;
    default:
        end_refused(s, fx, 554, ENHANCED(5, 6, 0), BYTES("Error: message content refused"));
        break;
    }
}

/* end_content - all content has been read. What is whole and within limits awaits its commit. */
static void end_content(struct smtp_server *s, uint8_t fault, struct smtp_server_effects *fx)
{
    smtp_header_end(&s->header);
    if (s->content_refusal.code != 0) {
        smtp_server_reset(s);
        say_refusal(s, fx);
    } else if (fault != SMTP_BODY_OK) {
        end_with_fault(s, fx, fault);
    } else if (s->header.received_count > s->config->hops_max) {
        end_refused(s, fx, 554, ENHANCED(5, 4, 6), BYTES("Error: too many hops; the message is in a loop"));
    } else {
        s->phase = SMTP_PHASE_COMMIT;
        s->awaiting = SMTP_NEED_COMMIT;
    }
}

/* look_at_header - show the header scan what came into the room since `before`. */
static void look_at_header(struct smtp_server *s, uint32_t before)
{
    if (!s->header.done) smtp_header_feed(&s->header, bytes_of(s->room.ptr + before, s->room.len - before));
}

/* need_room - the reader stopped before the end of its input: the room is full, and the clock of the rate does not run for us. */
static void need_room(struct smtp_server *s)
{
    s->awaiting = SMTP_NEED_ROOM;
    s->rate_began_ms = 0;
}

/* --- the two ways in --- */

uint32_t smtp_server_feed_data(struct smtp_server *s, struct bytes in, uint64_t now_ms, struct smtp_server_effects *fx)
{
    if (s->room_given) {
        s->room_given = false;
        smtp_server_say(s, fx, 354, ENHANCED(0, 0, 0), BYTES("End data with <CR><LF>.<CR><LF>"));
        return 0;
    }
    uint32_t used = 0, before = s->room.len;
    enum smtp_feed fed = smtp_body_feed(&s->body, in, &used, &s->room);
    look_at_header(s, before);
    if (fed == SMTP_GARBLED) {
        /* What follows may be meant as commands by one reader and as content by another: it is not looked at (SMTP smuggling). */
        smtp_server_end(s, fx, 550, ENHANCED(5, 6, 0), BYTES("Error: a CR or LF stands alone; lines must end in CR LF; closing"));
        return used;
    }
    if (!count_octets(s, used, now_ms, fx)) return used;
    if (fed == SMTP_DONE) end_content(s, s->body.fault, fx);
    else if (used < in.len) need_room(s);
    return used;
}

static void end_chunk(struct smtp_server *s, struct smtp_server_effects *fx)
{
    uint8_t fault = s->chunk.fault;
    if (fault == SMTP_BODY_OK && s->bdat_last && s->chunk.previous_cr) fault = SMTP_BODY_BARE_NEWLINE;
    if (s->bdat_last || fault != SMTP_BODY_OK) {
        end_content(s, fault, fx);
        return;
    }
    s->phase = SMTP_PHASE_BDAT;
    uint8_t memory[64];
    struct buf text = BUF_OVER(memory);
    BUF_LIT(&text, "Ok: ");
    buf_put_u64(&text, s->data_bytes);
    BUF_LIT(&text, " octets so far");
    smtp_reply_write(&fx->out, 250, ENHANCED(2, 0, 0), buf_bytes(&text)); /* not say(): BDAT is done when committed */
}

uint32_t smtp_server_feed_chunk(struct smtp_server *s, struct bytes in, uint64_t now_ms, struct smtp_server_effects *fx)
{
    uint32_t used = 0, before = s->room.len;
    s->room_given = false;
    enum smtp_feed fed = s->chunk.left == 0 ? SMTP_DONE : smtp_chunk_feed(&s->chunk, in, &used, &s->room);
    look_at_header(s, before);
    if (!count_octets(s, used, now_ms, fx)) return used;
    if (fed == SMTP_DONE) end_chunk(s, fx);
    else if (used < in.len) need_room(s);
    return used;
}

/* --- the process's part --- */

void smtp_server_room(struct smtp_server *s, struct buf room)
{
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(s->awaiting == SMTP_NEED_BODY || s->awaiting == SMTP_NEED_ROOM);
    must(buf_room(&room) >= SMTP_SERVER_ROOM_BYTES_MIN);
    s->room = room;
    s->room_given = s->awaiting == SMTP_NEED_BODY;
    s->awaiting = SMTP_NEED_INPUT;
}

void smtp_server_no_room(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(s->awaiting == SMTP_NEED_BODY || s->awaiting == SMTP_NEED_ROOM);
    must(a->code >= 400 && a->code <= 599);
    bool before_content = s->awaiting == SMTP_NEED_BODY;
    s->awaiting = SMTP_NEED_INPUT;
    s->transaction = false; /* the process forgets it now */
    if (s->bdat) {
        smtp_server_refuse_chunk(s, fx, s->chunk.left, a);
    } else if (before_content) {
        smtp_server_reset(s);
        smtp_server_policy(s, fx, a, ENHANCED(2, 0, 0), ENHANCED(5, 3, 0));
    } else {
        keep_refusal(s, a);
        s->body.fault = SMTP_BODY_TOO_BIG; /* from here on the reader eats and produces nothing */
    }
}

void smtp_server_committed(struct smtp_server *s, struct message_id id, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(s->awaiting == SMTP_NEED_COMMIT && s->phase == SMTP_PHASE_COMMIT);
    must(id.v != 0);
    s->awaiting = SMTP_NEED_INPUT;
    s->transaction = false;
    s->junk = 0;
    uint8_t memory[64];
    struct buf text = BUF_OVER(memory);
    BUF_LIT(&text, "Ok: queued as ");
    message_id_print(&text, id);
    smtp_server_reset(s);
    smtp_server_say(s, fx, 250, ENHANCED(2, 0, 0), buf_bytes(&text));
}

void smtp_server_refused(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(s->awaiting == SMTP_NEED_COMMIT && a->code >= 400 && a->code <= 599);
    s->awaiting = SMTP_NEED_INPUT;
    s->transaction = false;
    smtp_server_policy(s, fx, a, ENHANCED(2, 0, 0), ENHANCED(5, 3, 0));
    if (s->phase != SMTP_PHASE_CLOSED) smtp_server_reset(s);
}

bool smtp_server_content_8bit(const struct smtp_server *s)
{
    return s->header.has_8bit || (s->bdat ? s->chunk.has_8bit : s->body.has_8bit);
}
