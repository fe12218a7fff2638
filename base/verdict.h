/*
 * verdict - what became of a recipient, as a value: it is not an error.
 */
#ifndef BASE_VERDICT_H
#define BASE_VERDICT_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/limits.h"

enum verdict_class { VERDICT_NONE = 0, VERDICT_DELIVERED, VERDICT_LATER, VERDICT_NEVER, VERDICT_CLASS_COUNT };

/* How far a failure reaches: it decides whether other mail for the same place is tried (RFC 5321 4.2, 4.5.4.1). */
enum verdict_scope { SCOPE_NONE = 0, SCOPE_SITE, SCOPE_MESSAGE, SCOPE_RECIPIENT, SCOPE_COUNT };

/* The step of a session at which something happened; the words are those of the log ("in reply to RCPT TO command"). */
enum mail_step {
    STEP_NONE = 0, STEP_CONNECT, STEP_BANNER, STEP_EHLO, STEP_HELO, STEP_LHLO, STEP_STARTTLS, STEP_TLS, STEP_AUTH,
    STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_BODY, STEP_DOT, STEP_RSET, STEP_QUIT, STEP_IDLE, STEP_ROUTE, STEP_RESOLVE, STEP_MAILBOX,
    STEP_COUNT
};

struct enhanced {
    uint8_t class;    /* 2, 4, 5; 0 = none */
    uint16_t subject; /* 0..999 */
    uint16_t detail;  /* 0..999 */
};

struct verdict {
    uint8_t class;            /* enum verdict_class */
    uint8_t scope;            /* enum verdict_scope */
    uint8_t step;             /* enum mail_step */
    bool maybe_duplicate;     /* the remote may have taken the message although we count it as later (RFC 1047) */
    uint16_t code;            /* SMTP reply code, 0 = no reply was read */
    struct enhanced enhanced; /* RFC 3463 */
    struct bytes text;        /* the remote's words or ours, at most REPLY_TEXT_BYTES_MAX, unescaped; borrowed */
    bool remote;              /* text is the remote's words */
};

/* mail_step_text - the step's words in log lines and DSNs, e.g. "RCPT TO command", "end of DATA command". */
const char *mail_step_text(enum mail_step step);

#endif
