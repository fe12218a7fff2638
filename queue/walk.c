/*
 * walk - the queue in id order, in slices: what is in memory as it stands there, the rest from the index.
 *
 * Only messages that the index does not know yet need a list of their own; a resident one is found by the id that the index gives.
 */
#include <stdlib.h>

#include "queue/state.h"

struct rows { /* memory for one message's states and notes */
    struct record_rcpt *states;
    struct queue_rcpt_note *notes;
    uint32_t cap;
};

static bool widen(struct rows *rows, uint32_t count)
{
    if (count <= rows->cap) return true;
    struct record_rcpt *states = reallocarray(rows->states, count, sizeof(*states));
    if (states) rows->states = states;
    struct queue_rcpt_note *notes = reallocarray(rows->notes, count, sizeof(*notes));
    if (notes) rows->notes = notes;
    if (states && notes) rows->cap = count;
    return states && notes;
}

static void rows_fini(struct rows *rows)
{
    free(rows->states);
    free(rows->notes);
}

typedef void row_fn(void *context, const struct queue_row *row);

static bool show_resident(struct rows *rows, const struct message *m, row_fn *row, void *context)
{
    if (m->state != MESSAGE_LIVE && m->state != MESSAGE_PENDING) return true;
    if (!widen(rows, m->m.rcpt_count)) return false;
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) {
        const struct rcpt_slot *r = &m->rcpts[i];
        rows->states[i] = r->state;
        rows->notes[i] = (struct queue_rcpt_note){rcpt_reason(r), destination_name(m->legs[r->leg].destination), r->code, r->enhanced};
    }
    row(context, &(struct queue_row){&m->m, rows->states, rows->notes, m->taken > 0});
    return true;
}

static bool show_indexed(struct queue *q, struct rows *rows, const struct index_message *im, row_fn *row, void *context)
{
    if (!widen(rows, im->rcpt_count)) return false;
    for (uint32_t i = 0; i < im->rcpt_count; i++) {
        const struct index_rcpt *r = &im->rcpts[i];
        const struct destination *d = destination_find(&q->schedule, r->destination);
        rows->states[i] = r->state;
        rows->notes[i] = (struct queue_rcpt_note){r->reason, d ? destination_name(d) : (struct bytes){0}, r->code, r->enhanced};
    }
    row(context, &(struct queue_row){&im->m, rows->states, rows->notes, false});
    return true;
}

/* show - one message, wherever it is. */
static bool show(struct queue *q, const struct index_view *view, struct rows *rows, struct message_id id, row_fn *row, void *context)
{
    const struct message *m = message_table_find(&q->table, id);
    if (m) return show_resident(rows, m, row, context);
    struct arena arena = {0};
    struct index_message im;
    enum err e = index_get(view, id, &arena, &im);
    bool shown = e ? e != ERR_NO_MEMORY : show_indexed(q, rows, &im, row, context);
    if (e == ERR_CORRUPT) queue_fail(q, e, "the index is damaged");
    arena_fini(&arena);
    return shown;
}

bool queue_find(struct queue *q, struct message_id id, row_fn *row, void *context)
{
    struct rows rows = {0};
    struct index_view view;
    struct message_id found = {0};
    const struct message *m = message_table_find(&q->table, id);
    if (id.v == 0 || (m && m->state != MESSAGE_LIVE && m->state != MESSAGE_PENDING) || index_view_open(q->index, &view)) return false;
    bool there = m != NULL;
    if (!there) there = index_next_message(&view, (struct message_id){id.v - 1}, &found) == ERR_NONE && found.v == id.v;
    if (there) there = show(q, &view, &rows, id, row, context);
    index_view_close(&view);
    rows_fini(&rows);
    return there;
}

static struct link *fresh_after(const struct queue *q, struct message_id after)
{
    struct link *l = link_first(&q->fresh);
    while (l && LINK_OF(l, struct message, fresh)->m.id.v <= after.v) l = link_after(&q->fresh, l);
    return l;
}

struct message_id queue_walk(struct queue *q, struct message_id after, uint32_t max, row_fn *row, void *context)
{
    struct rows rows = {0};
    struct index_view view;
    struct message_id last = {0}, next;
    if (index_view_open(q->index, &view)) return last;
    struct link *fresh = fresh_after(q, after);
    enum err e = index_next_message(&view, after, &next);
    uint32_t shown = 0;
    while (!e && shown < max && (next.v || fresh)) {
        struct message_id fresh_id = fresh ? LINK_OF(fresh, struct message, fresh)->m.id : (struct message_id){UINT64_MAX};
        bool from_fresh = fresh && (next.v == 0 || fresh_id.v <= next.v);
        last = from_fresh ? fresh_id : next;
        if (!show(q, &view, &rows, last, row, context)) break;
        shown++;
        if (!from_fresh || fresh_id.v == next.v) e = index_next_message(&view, last, &next);
        if (from_fresh) fresh = link_after(&q->fresh, fresh);
    }
    bool ended = shown < max;
    index_view_close(&view);
    rows_fini(&rows);
    return ended ? (struct message_id){0} : last;
}
