/*
 * accounts - which uid and gid each role runs as.
 *
 * Started as root: uid-base + role number when uid-base is given; else the users _mta-ROLE when all of them exist; else UID_BASE_DEFAULT + role number,
 * so that a bare machine works. The mailbox process is the user of mailbox { user NAME } when there is one. Not root: everything is us.
 */
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/master/master.h"

static bool account_of_name(const char *name, struct account *a)
{
    const struct passwd *p = getpwnam(name);
    if (p == NULL) return false;
    *a = (struct account){p->pw_uid, p->pw_gid};
    return true;
}

static bool find_named(struct master *m)
{
    for (enum ipc_role role = ROLE_MASTER + 1; role < ROLE_COUNT; role++) {
        if (role != ROLE_LOCAL && process_places(m->config, role) > 0 && !account_of_name(ipc_role_user(role), &m->accounts[role])) return false;
    }
    return true;
}

static int count_from(struct master *m, uint32_t base, bool is_given)
{
    for (enum ipc_role role = ROLE_MASTER + 1; role < ROLE_COUNT; role++) {
        uint32_t uid = base + (uint32_t)role;
        const struct passwd *owner = is_given ? NULL : getpwuid(uid);
        if (owner != NULL) {
            struct buf *line = log_begin(LOG_LEVEL_FATAL);
            BUF_LIT(line, "fatal: uid ");
            buf_put_u64(line, uid);
            BUF_LIT(line, " belongs to ");
            buf_put_cstr(line, owner->pw_name);
            BUF_LIT(line, ": make the users _mta-manager and so on, or set `uid-base N` to fourteen free numbers");
            log_end();
            return PROCESS_EXIT_CONFIG;
        }
        m->accounts[role] = (struct account){uid, uid};
    }
    return 0;
}

static int find_mailbox_user(struct master *m)
{
    enum { USER_NAME_BYTES_MAX = 255 };
    struct bytes user = config_bytes(m->config, m->config->mailbox.user);
    if (user.len == 0) return 0;
    char name[USER_NAME_BYTES_MAX + 1] = {0};
    const char *problem = NULL;
    if (user.len <= USER_NAME_BYTES_MAX) memcpy(name, user.ptr, user.len);
    if (!account_of_name(name, &m->accounts[ROLE_MAILBOX])) problem = "there is no such user";
    else if (m->accounts[ROLE_MAILBOX].uid == 0) problem = "mail is not delivered as root";
    if (problem == NULL) return 0;
    struct buf *line = log_begin(LOG_LEVEL_FATAL);
    BUF_LIT(line, "fatal: mailbox { user ");
    log_bytes(line, user);
    BUF_LIT(line, " }: ");
    buf_put_cstr(line, problem);
    log_end();
    return PROCESS_EXIT_CONFIG;
}

int accounts_find(struct master *m)
{
    m->is_root = geteuid() == 0;
    if (!m->is_root) {
        for (enum ipc_role role = ROLE_MASTER; role < ROLE_COUNT; role++) m->accounts[role] = (struct account){geteuid(), getegid()};
        struct buf *line = log_begin(LOG_LEVEL_WARNING);
        BUF_LIT(line, "warning: not started as root: every process runs as uid ");
        buf_put_u64(line, geteuid());
        log_end();
        return 0;
    }
    int code = 0;
    if (m->config->uid_base != 0) code = count_from(m, m->config->uid_base, true);
    else if (!find_named(m)) code = count_from(m, UID_BASE_DEFAULT, false);
    return code != 0 ? code : find_mailbox_user(m);
}
