/*
 * foreign - what a client speaks that does not speak SMTP: a browser, a TLS or SSH client at the wrong port, or a web page that makes a
 * browser talk to us (cross-protocol requests). None of them can be served, and the sooner it ends the less of it is taken for commands.
 */
#ifndef SMTP_FOREIGN_H
#define SMTP_FOREIGN_H

#include "base/bytes.h"

enum smtp_foreign { SMTP_FOREIGN_NONE = 0, SMTP_FOREIGN_TLS, SMTP_FOREIGN_HTTP, SMTP_FOREIGN_SSH, SMTP_FOREIGN_COUNT };

/* smtp_foreign_name - "TLS", "HTTP", "SSH"; empty for NONE. */
struct bytes smtp_foreign_name(enum smtp_foreign f);

/* smtp_foreign_first - by the first octets of a connection, as many as have come. TLS: RFC 8446 5.1 (a handshake record of major version 3);
 * HTTP: RFC 9112 3 (a method and a target); SSH: RFC 4253 4.2. O(n) of a few octets. */
enum smtp_foreign smtp_foreign_first(struct bytes in);

/* smtp_foreign_line - by a whole line without CR LF that is no command of SMTP: HTTP only with its version at the end, SSH. O(n). */
enum smtp_foreign smtp_foreign_line(struct bytes line);

#endif
