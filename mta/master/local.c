/*
 * local - users of this host: their list for the mailbox process, and processes that become one of them.
 *
 * A process of another user cannot be trusted to say whose rights somebody gets: it names a user, and who that is, is looked up here. Nobody becomes root.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mta/master/master.h"

static const char users_file[] = "/etc/passwd";
static const char mail_group[] = "mail"; /* owns /var/mail on Debian: who makes lock files there has it */

static const struct config_route *local_route(const struct master *m, uint32_t route)
{
    const struct config_route *routes = CONFIG_ITEMS(m->config, m->config->routes, struct config_route);
    return routes != NULL && route < m->config->routes.count && routes[route].action == ACTION_LOCAL ? &routes[route] : NULL;
}

void local_users(struct master *m)
{
    struct child *mailbox = child_find(m, ROLE_MAILBOX, 0);
    bool wanted = false;
    struct stat st;
    for (uint32_t i = 0; i < m->config->routes.count; i++) wanted |= local_route(m, i) != NULL;
    if (!wanted || mailbox->channel == NULL || !mailbox->was_ready || stat(users_file, &st) != 0) return;
    int64_t changed_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec + (int64_t)st.st_ino;
    if (changed_ns == m->users_changed_ns) return;
    int fd = open(users_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return; /* looked at again in a moment */
    struct ipc_local_users list = {.changed = (uint64_t)changed_ns};
    if (ipc_send_local_users(mailbox->channel, &list, fd) == ERR_NONE) m->users_changed_ns = changed_ns;
    else close(fd);
}

/* find - who it is; why not, or NULL. */
static const char *find(const struct master *m, const struct config_route *r, const char *name, struct local_user *out)
{
    errno = 0;
    const struct passwd *p = getpwnam(name);
    if (p == NULL) return errno == 0 ? "this host has no such user" : "this host's users cannot be looked up now";
    size_t home_bytes = strlen(p->pw_dir);
    if (p->pw_uid == 0 || p->pw_gid == 0) return "mail is not delivered as root, or with root's group";
    if (!m->is_root && p->pw_uid != geteuid()) return "mtad was not started as root, and can become nobody";
    if (home_bytes == 0 || home_bytes > LOCAL_HOME_BYTES_MAX || p->pw_dir[0] != '/') return "the home folder has no whole path";
    out->account = (struct account){p->pw_uid, p->pw_gid};
    memcpy(out->home, p->pw_dir, home_bytes + 1);
    const struct group *g = r->local_mbox ? getgrnam(mail_group) : NULL;
    if (g != NULL && g->gr_gid != 0) out->account.gid = g->gr_gid;
    return NULL;
}

static void say_no(struct child *mailbox, uint16_t place, bool again, const char *why)
{
    struct ipc_local_no no = {.place = place, .again = again, .text = bytes_of_cstr(why)};
    (void)!ipc_send_local_no(mailbox->channel, &no, -1); /* a full channel belongs to a child that hangs, which the watchdog sees */
}

/* can_be_a_name - what this process is willing to look up. */
static bool can_be_a_name(struct bytes name)
{
    for (uint32_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_' && c != '-' && c != '.' && c != '+') return false;
    }
    return name.len > 0 && name.len <= LOCAL_USER_BYTES_MAX && name.ptr[0] != '-' && name.ptr[0] != '.';
}

bool local_start(struct master *m, struct child *mailbox, const struct ipc_local_ask *ask)
{
    const struct config_route *r = local_route(m, ask->route);
    if (r == NULL || ask->place >= PROCESS_LOCAL_MAX || !can_be_a_name(ask->user)) return false;
    struct child *c = child_find(m, ROLE_LOCAL, ask->place);
    if (m->stopping) {
        say_no(mailbox, ask->place, false, "mtad is stopping");
        return true;
    }
    if (c->pid != 0) {
        say_no(mailbox, ask->place, true, "the one before has not ended yet");
        return true;
    }
    struct local_user user = {.route = ask->route};
    memcpy(user.name, ask->user.ptr, ask->user.len);
    const char *why = find(m, r, user.name, &user);
    c->user = user;
    if (why == NULL && child_start(m, c) != ERR_NONE) {
        why = "a process could not be started";
        child_kill(c, "it could not be given its channels");
    }
    if (why != NULL) say_no(mailbox, ask->place, false, why);
    return true;
}
