/*
 * stress - who says nothing waits less long while nearly all connections are in use, so that a burst of idle ones ends by itself.
 *
 * It begins at three quarters of this receiver's part of limits { connections }, and ends at half of it. Strangers between two transactions are
 * meant, those who have one go on as ever; trusted clients are never hurried.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mta/receiver/receiver.h"

enum err stress_init(struct receiver *r)
{
    uint32_t count = r->config->listeners.count;
    r->strangers = calloc(count ? count : 1, sizeof *r->strangers);
    if (!r->strangers) return ERR_NO_MEMORY;
    memcpy(r->strangers, r->listeners, count * sizeof *r->strangers);
    return ERR_NONE;
}

static uint32_t part_of(const struct receiver *r)
{
    uint32_t part = r->config->limits.connections / r->config->workers.receivers;
    return part < r->session_max ? part : r->session_max;
}

static void hurry(struct receiver *r, struct session *s)
{
    uint64_t soon = r->now_ms + r->config->timeouts.server_stress;
    if (s->trusted || !session_goes_on(s) || s->transaction != 0 || s->server.deadline_ms <= soon) return;
    s->server.deadline_ms = soon;
    session_timer(r, s);
}

static void change(struct receiver *r, bool stressed)
{
    uint64_t usual = r->config->timeouts.server_command, stress = r->config->timeouts.server_stress;
    r->stressed = stressed;
    for (uint32_t i = 0; i < r->config->listeners.count; i++) r->strangers[i].command_timeout_ms = stressed && stress < usual ? stress : usual;
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    if (stressed) BUF_LIT(line, "warning: most connections are in use: ");
    else BUF_LIT(line, "connections are free again: ");
    buf_put_u64(line, r->session_count);
    if (stressed) BUF_LIT(line, " here; strangers who say nothing are closed sooner (server-stress)");
    else BUF_LIT(line, " here");
    log_end();
    if (stressed) sessions_each(r, hurry);
}

void stress_turn(struct receiver *r)
{
    uint32_t part = part_of(r);
    if (!r->stressed && r->session_count > part / 4 * 3 && part >= 4) change(r, true);
    else if (r->stressed && r->session_count < part / 2) change(r, false);
}
