/*
 * verify - every invariant that can be checked while the queue stands still for a moment.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "queue/state.h"

enum { SLICE = 256, TEXT_BYTES = 300 };

struct verifier {
    struct queue *q;
    void (*report)(void *context, struct bytes text);
    void *context;
    uint64_t problems, messages, queued, held, bytes;
};

static void problem(struct verifier *v, struct message_id id, const char *what)
{
    uint8_t memory[TEXT_BYTES];
    struct buf text = BUF_OVER(memory);
    v->problems++;
    if (id.v) {
        message_id_print(&text, id);
        BUF_LIT(&text, ": ");
    }
    buf_put_cstr(&text, what);
    v->report(v->context, buf_bytes(&text));
}

/* ---- sums ---- */

static void check_sum(struct verifier *v, const char *what, uint64_t have, uint64_t want)
{
    uint8_t memory[TEXT_BYTES];
    struct buf text = BUF_OVER(memory);
    if (have == want) return;
    v->problems++;
    buf_put_cstr(&text, what);
    BUF_LIT(&text, ": counted ");
    buf_put_u64(&text, have);
    BUF_LIT(&text, ", known ");
    buf_put_u64(&text, want);
    v->report(v->context, buf_bytes(&text));
}

static void on_row(void *context, const struct queue_row *row)
{
    struct verifier *v = context;
    uint64_t queued = 0;
    v->messages++;
    v->held += row->message->held;
    v->bytes += row->message->body_bytes;
    for (uint32_t i = 0; i < row->message->rcpt_count; i++) queued += row->states[i].state == RCPT_QUEUED;
    if (queued == 0) problem(v, row->message->id, "has no recipient left, but is in the queue");
    v->queued += queued;
}

static void check_sums(struct verifier *v)
{
    struct queue *q = v->q;
    struct queue_totals t;
    struct message_id after = {0};
    do {
        after = queue_walk(q, after, SLICE, on_row, v);
    } while (after.v);
    queue_totals(q, &t);
    check_sum(v, "messages", v->messages, t.messages);
    check_sum(v, "queued recipients", v->queued, t.rcpts);
    check_sum(v, "held messages", v->held, t.held);
    check_sum(v, "octets", v->bytes, t.bytes);
    check_sum(v, "recipients accepted", t.audit.delivered + t.audit.bounced + t.audit.expired + t.audit.removed + t.audit.queued, t.audit.accepted);
}

/* ---- records and files ---- */

static void check_record(struct verifier *v, struct message_id id, const struct qlog_place *place, bool in_outcome)
{
    uint32_t n = place->bytes > QLOG_HEADER_BYTES ? place->bytes - QLOG_HEADER_BYTES : 0;
    uint8_t *record = malloc(n + 1);
    struct record_message m;
    enum err e = record ? qlog_read(v->q->log, place, 0, record, n) : ERR_NO_MEMORY;
    if (!e) e = body_of_record(bytes_of(record, n), in_outcome, &m);
    if (e || m.id.v != id.v) problem(v, id, "its record in the commit log cannot be read");
    free(record);
}

static void check_file(struct verifier *v, const struct record_message *m)
{
    char name[BODY_NAME_BYTES];
    struct stat st;
    if (m->body_kind != BODY_FILE) return;
    body_file_name(name, m->body_id);
    if (fstatat(v->q->bodies_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) problem(v, m->id, "its body file is missing");
    else if ((uint64_t)st.st_size < m->body_skip + m->body_bytes) problem(v, m->id, "its body file is too short");
}

static void check_content(struct verifier *v)
{
    struct index_view view;
    struct message_id id = {0};
    if (index_view_open(v->q->index, &view)) {
        problem(v, id, "the index cannot be read");
        return;
    }
    while (index_next_message(&view, id, &id) == ERR_NONE && id.v) {
        struct arena arena = {0};
        struct index_message im;
        const struct message *m = message_table_find(&v->q->table, id);
        if (!m && index_get(&view, id, &arena, &im) == ERR_NONE) {
            check_record(v, id, &im.place, im.in_outcome);
            check_file(v, &im.m);
        }
        arena_fini(&arena);
    }
    v->problems += index_check(&view, UINT64_MAX, v->report, v->context);
    index_view_close(&view);
    for (const struct message *m = message_table_next(&v->q->table, NULL); m; m = message_table_next(&v->q->table, m)) {
        if (m->state != MESSAGE_LIVE) continue;
        check_record(v, m->m.id, &m->place, m->in_outcome);
        check_file(v, &m->m);
    }
}

/* ---- memory ---- */

static void check_resident(struct verifier *v, const struct message *m)
{
    uint32_t queued = 0, taken = 0, leg_queued = 0, leg_taken = 0;
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) {
        queued += m->rcpts[i].state.state == RCPT_QUEUED;
        taken += m->rcpts[i].taken;
    }
    for (uint32_t i = 0; i < m->leg_count; i++) {
        leg_queued += m->legs[i].queued;
        leg_taken += m->legs[i].taken;
        bool out = m->legs[i].place == LEG_OUT;
        bool idle = m->state != MESSAGE_LIVE || m->m.held || m->legs[i].queued == m->legs[i].taken;
        if (out != idle) problem(v, m->m.id, "a leg stands in the wrong line");
    }
    if (m->state == MESSAGE_GONE) return;
    if (queued != m->queued || queued != leg_queued || taken != m->taken || taken != leg_taken) problem(v, m->m.id, "its recipients are counted wrongly");
}

static void check_memory(struct verifier *v)
{
    struct queue *q = v->q;
    uint64_t total = 0, resident = 0;
    for (const struct message *m = message_table_next(&q->table, NULL); m; m = message_table_next(&q->table, m)) check_resident(v, m);
    for (const struct link *l = link_first(&q->schedule.all); l; l = link_after(&q->schedule.all, l)) {
        const struct destination *d = LINK_OF(l, struct destination, all);
        total += d->total;
        resident += d->resident;
        if (d->resident > d->total) problem(v, (struct message_id){0}, "a destination has more in memory than in all");
    }
    check_sum(v, "recipients by destination", total, q->schedule.queued);
    check_sum(v, "resident recipients by destination", resident, q->schedule.resident);
}

uint64_t queue_check(struct queue *q, void (*report)(void *context, struct bytes text), void *context)
{
    struct verifier v = {.q = q, .report = report, .context = context};
    check_memory(&v);
    check_sums(&v);
    check_content(&v);
    return v.problems;
}
