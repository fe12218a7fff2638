/*
 * rights - what a peer may do, by the credentials that the kernel wrote down when it connected.
 *
 * Root and the user that mtad runs as may do all. Members of the group mtaadm operate; members of mtaview look. A group may be the peer's own or a
 * supplementary one. Everybody else is told so and sent away.
 */
#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mta/control/control.h"

enum { GROUPS_MAX = 1024 };          /* of a peer that are looked at; who has more is judged by these */

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59             /* Linux 4.13; older C libraries do not name it */
#endif

static bool find_group(const char *name, uint32_t *gid)
{
    const struct group *g = getgrnam(name);
    if (g) *gid = g->gr_gid;
    return g != NULL;
}

void rights_prepare(struct control *c)
{
    c->own_uid = getuid(); /* this process's own user can speak to the manager anyway; without root it is the one that runs mtad */
    c->has_operators = find_group("mtaadm", &c->operators);
    c->has_viewers = find_group("mtaview", &c->viewers);
    endgrent();
}

static enum right right_of_group(const struct control *c, gid_t gid)
{
    if (c->has_operators && gid == c->operators) return RIGHT_OPERATE;
    return c->has_viewers && gid == c->viewers ? RIGHT_READ : RIGHT_NONE;
}

enum right rights_of(const struct control *c, int fd, uint32_t *uid, uint32_t *pid)
{
    static gid_t groups[GROUPS_MAX];
    struct ucred peer;
    socklen_t len = sizeof peer, groups_len = sizeof groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || len != sizeof peer) return RIGHT_NONE;
    *uid = peer.uid;
    *pid = (uint32_t)peer.pid;
    if (peer.uid == 0 || peer.uid == c->own_uid) return RIGHT_OPERATE;
    enum right most = right_of_group(c, peer.gid);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_len) != 0) return most;
    for (uint32_t i = 0; i < groups_len / sizeof *groups; i++) {
        enum right one = right_of_group(c, groups[i]);
        if (one > most) most = one;
    }
    return most;
}
