/*
 * filter - which messages and destinations a verb of mtactl means.
 *
 * Every filter that is given must hold. One about recipients holds when it holds for a recipient that is still queued; the verb then acts on the
 * whole message.
 */
#include "mta/manager/operate.h"

/* same_address - an address, or "*@domain" for all of a domain; "<>" is the null sender. */
static bool same_address(struct bytes pattern, struct bytes address)
{
    if (bytes_equal(pattern, BYTES("<>"))) return address.len == 0;
    if (bytes_starts(pattern, BYTES("*@"))) return address.len > 0 && bytes_equal_nocase(bytes_from(pattern, 2), mail_domain(address));
    return bytes_equal_nocase(pattern, address);
}

/* holds - `part` is somewhere in `text`, letters without case. */
static bool holds(struct bytes text, struct bytes part)
{
    for (uint32_t i = 0; i + part.len <= text.len; i++)
        if (bytes_equal_nocase(bytes_slice(text, i, part.len), part)) return true;
    return false;
}

/* route_of - the second part of a destination's name. */
static struct bytes route_of(struct bytes destination)
{
    struct bytes rest = bytes_from(destination, bytes_find(destination, ':') + 1);
    return bytes_slice(rest, 0, bytes_find(rest, ':'));
}

static struct bytes domain_of(struct bytes destination)
{
    struct bytes rest = bytes_from(destination, bytes_find(destination, ':') + 1);
    return bytes_from(rest, bytes_find(rest, ':') + 1);
}

bool filter_site(struct bytes destination, struct bytes site)
{
    struct bytes domain = domain_of(destination);
    if (bytes_equal_nocase(destination, site)) return true;
    return domain.len ? bytes_equal_nocase(domain, site) : bytes_equal(route_of(destination), site);
}

static bool rcpt_matches(const struct ipc_admin *m, const struct rcpt *r, const struct queue_rcpt_note *note)
{
    if (m->to.len && !same_address(m->to, r->address)) return false;
    if (m->domain.len && !bytes_equal_nocase(m->domain, mail_domain(r->address))) return false;
    if (m->site.len && !filter_site(note->destination, m->site)) return false;
    if (m->route.len && !bytes_equal(m->route, route_of(note->destination))) return false;
    return true;
}

/* reason_is_text - verbs for which `reason` is no filter but what the operator says. */
static bool reason_is_text(uint8_t verb) { return verb == ADMIN_QUEUE_HOLD || verb == ADMIN_QUEUE_BOUNCE || verb == ADMIN_SITE_SUSPEND; }

static bool any_rcpt(const struct operation *o, const struct queue_row *row)
{
    static const struct queue_rcpt_note nothing;
    const struct ipc_admin *m = &o->m;
    bool by_reason = m->reason.len && !reason_is_text(m->verb);
    if (!m->to.len && !m->domain.len && !m->site.len && !m->route.len && !by_reason) return true;
    struct cursor c = cursor_over(row->message->rcpts);
    struct rcpt r;
    for (uint32_t i = 0; i < row->message->rcpt_count && rcpt_next(&c, &r); i++) {
        const struct queue_rcpt_note *note = row->notes ? &row->notes[i] : &nothing;
        if (row->states[i].state != RCPT_QUEUED || !rcpt_matches(m, &r, note)) continue;
        if (!by_reason || holds(note->reason, m->reason) || holds(row->message->hold_reason, m->reason)) return true;
    }
    return false;
}

bool filter_message(const struct operation *o, const struct queue_row *row, int64_t now_wall_us)
{
    const struct ipc_admin *m = &o->m;
    const struct record_message *r = row->message;
    enum admin_state state;
    if (m->message.v && m->message.v != r->id.v) return false;
    if (m->older_s && now_wall_us / 1000000 - r->arrival_wall_us / 1000000 < m->older_s) return false;
    if (m->larger_bytes && r->body_bytes <= m->larger_bytes) return false;
    if (m->from.len && !same_address(m->from, r->sender)) return false;
    if (o->has_client && !net_in_prefix(&r->client, &o->client)) return false;
    if (m->state) {
        (void)row_state(row, now_wall_us, &state);
        if (state != m->state) return false;
    }
    return any_rcpt(o, row);
}

uint32_t filter_queued(const struct queue_row *row)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < row->message->rcpt_count; i++) n += row->states[i].state == RCPT_QUEUED;
    return n;
}
