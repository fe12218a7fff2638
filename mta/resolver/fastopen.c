/*
 * fastopen - no TCP Fast Open for the DNS library.
 *
 * Debian's libunbound sends its first octets over TCP with sendmsg(MSG_FASTOPEN), which makes a connection that Landlock does not see: the one way
 * around the rule "TCP to name servers' ports only" (docs/security.md). The library cannot be told to stop, so its sendmsg() is this one: it connects
 * as everybody does, and the library goes on when the socket is writable. Every other call of sendmsg() in the program passes through unchanged.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mta/resolver/resolver.h"

void fastopen_replace(void) {}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (flags & MSG_FASTOPEN) {
        if (connect(fd, message->msg_name, message->msg_namelen) != 0) return -1; /* EINPROGRESS as a rule */
        flags &= ~MSG_FASTOPEN;
    }
    return syscall(SYS_sendmsg, fd, message, flags);
}
