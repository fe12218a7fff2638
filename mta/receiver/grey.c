/*
 * grey - greylisting: the greylist's process is asked about a recipient that all rules have let through. Without its word mail passes: this is
 * a way to have less of it, and no reason to lose some.
 */
#include "base/must.h"
#include "mta/receiver/receiver.h"

bool grey_ask(struct receiver *r, struct session *s, struct bytes rcpt)
{
    const struct config_listener *l = &CONFIG_ITEMS(r->config, r->config->listeners, struct config_listener)[s->listener];
    const struct config_rules *rules = rules_of_listener(r->config, l);
    struct ipc_channel *greylist = process_channel(r->process, ROLE_GREYLIST, 0);
    if (!rules || !rules->greylist || s->known_good || !greylist || s->client.family == NET_NONE) return false;
    struct ipc_grey_ask ask = {.request = receiver_number(r, s), .peek = s->stage == STAGE_EXPLAIN, .client = s->client,
                               .sender = s->server.mail.sender.whole, .rcpt = rcpt};
    if (ipc_send_grey_ask(greylist, &ask, -1) != ERR_NONE) return false;
    s->grey_request = ask.request;
    session_wait(r, s, WAIT_GREY, GREY_WAIT_MS);
    return true;
}

static void answer(struct receiver *r, struct session *s, bool pass, uint32_t wait_s)
{
    must(s->wait == WAIT_GREY);
    s->grey_request = 0;
    s->grey = pass ? GREY_PASSES : GREY_WAITS;
    if (s->stage != STAGE_EXPLAIN) mail_grey(r, s, pass, wait_s);
    session_resume(r, s);
}

void grey_came(struct receiver *r, struct session *s, const struct ipc_grey_said *m)
{
    answer(r, s, m->pass, m->wait_s);
}

void grey_late(struct receiver *r, struct session *s)
{
    answer(r, s, true, 0);
}

static void late_for(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_GREY) grey_late(r, s);
}

void grey_gone(struct receiver *r)
{
    sessions_each(r, late_for);
}
