/*
 * stop - the end, in order: nothing new comes in, then what is being received is finished, then what is being delivered, then the queue is closed.
 *
 * The manager hears of it together with the workers, so that it gives them nothing new; it ends when their last results are written.
 */
#include <stddef.h>

#include "base/must.h"
#include "mta/master/master.h"

enum {
    KILL_GRACE_MS = 3000,     /* beyond what a child was told: it writes its last lines */
    MANAGER_GRACE_MS = 10000, /* the manager's checkpoint may take longer than work in hand was given */
    LEAST_MS = 1000,          /* what a phase is given when the phases before it took everything */
};

/* The phase in which a role stops. */
static uint32_t phase_of(enum ipc_role role)
{
    if (role == ROLE_ACCEPTOR || role == ROLE_CONTROL) return 0;
    return role == ROLE_RECEIVER ? 1 : 2;
}
enum { PHASES = 3 };

/* share_ms - of the time that is left: all for the last phase, half for the one before, so that none takes everything. */
static uint64_t share_ms(const struct master *m)
{
    uint64_t left = m->stop_until_ms > m->now_ms ? m->stop_until_ms - m->now_ms : 0;
    uint64_t share = m->stop_phase + 1 == PHASES ? left : left / 2;
    return share > LEAST_MS ? share : (uint64_t)LEAST_MS;
}

static void begin_phase(struct master *m)
{
    uint64_t within_ms = share_ms(m);
    m->phase_until_ms = m->now_ms + within_ms + (m->stop_phase + 1 == PHASES ? (uint64_t)MANAGER_GRACE_MS : (uint64_t)KILL_GRACE_MS);
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *c = &m->children[i];
        if (phase_of(c->role) != m->stop_phase || c->pid == 0) continue;
        c->state = ROLE_DRAINING;
        watch_tell_state(m, c);
        if (c->channel == NULL || ipc_send_drain(c->channel, &(struct ipc_drain){within_ms}, -1) != ERR_NONE) child_kill(c, "it could not be told to stop");
    }
}

void stop_begin(struct master *m, const char *why)
{
    must(!m->stopping);
    log_text(LOG_LEVEL_INFO, why);
    notify_stopping();
    m->stopping = true;
    m->stop_phase = 0;
    m->stop_begun_ms = m->now_ms;
    m->stop_until_ms = m->now_ms + m->config->timeouts.drain;
    for (uint32_t i = 0; i < m->child_count; i++) {
        if (m->children[i].state == ROLE_BACKING_OFF) m->children[i].state = ROLE_STOPPED;
    }
    begin_phase(m);
}

void stop_at_once(struct master *m, int exit_code)
{
    if (m->exit_code == 0) m->exit_code = exit_code;
    m->stopping = m->at_once = true;
    m->stop_phase = PHASES - 1;
    m->phase_until_ms = UINT64_MAX;
    for (uint32_t i = 0; i < m->child_count; i++) {
        if (m->children[i].state == ROLE_BACKING_OFF) m->children[i].state = ROLE_STOPPED;
        child_kill(&m->children[i], "everything stops at once");
    }
}

/* count_left - who of this phase, or of an earlier one, still runs; when the phase's time is over they are killed. */
static uint32_t count_left(struct master *m)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *c = &m->children[i];
        if (c->pid == 0 || phase_of(c->role) > m->stop_phase) continue;
        left++;
        if (m->now_ms >= m->phase_until_ms) child_kill(c, "it did not stop in time");
    }
    return left;
}

bool stop_step(struct master *m)
{
    while (count_left(m) == 0) {
        if (m->stop_phase + 1 == PHASES) return true;
        m->stop_phase++;
        begin_phase(m);
    }
    return false;
}

uint64_t stop_deadline(const struct master *m)
{
    return m->stopping ? m->phase_until_ms : UINT64_MAX;
}
