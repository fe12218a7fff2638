/*
 * news - deaths are told to those who talk with the dead, and to the next manager those that this one may not have heard.
 *
 * Only the last death of each place is kept, until the manager has answered a PING that was sent after it: channels keep their order. A manager that hears
 * of one a second time finds that it has a record of it.
 */
#include <sys/wait.h>

#include "mta/master/master.h"

static void tell(const struct child *to, const struct child *dead)
{
    (void)!ipc_send_died(to->channel, &dead->death, -1); /* a full channel belongs to a child that hangs, which the watchdog sees */
}

void news_death(struct master *m, struct child *dead, pid_t pid, int status)
{
    dead->death = (struct ipc_died){.role = (uint8_t)dead->role, .index = dead->index, .epoch = dead->epoch, .pid = (uint32_t)pid,
        .signal = WIFSIGNALED(status) ? (uint8_t)WTERMSIG(status) : 0, .exit_code = WIFEXITED(status) ? (uint8_t)WEXITSTATUS(status) : 0,
        .by_master = dead->hung ? 1 : dead->killed_for != NULL ? 2 : 0};
    dead->news = ipc_roles_talk(ROLE_MANAGER, dead->role) ? NEWS_TOLD : NEWS_NONE;
    for (uint32_t i = 0; i < m->child_count; i++) {
        const struct child *c = &m->children[i];
        if (c != dead && c->channel != NULL && ipc_roles_talk(c->role, dead->role)) tell(c, dead);
    }
}

void news_manager_came(struct master *m, struct child *manager)
{
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *c = &m->children[i];
        if (c->news == NEWS_NONE) continue;
        c->news = NEWS_TOLD;
        tell(manager, c);
    }
}

void news_manager_asked(struct master *m)
{
    for (uint32_t i = 0; i < m->child_count; i++)
        if (m->children[i].news == NEWS_TOLD) m->children[i].news = NEWS_ASKED;
}

void news_manager_answered(struct master *m)
{
    for (uint32_t i = 0; i < m->child_count; i++)
        if (m->children[i].news == NEWS_ASKED) m->children[i].news = NEWS_NONE;
}
