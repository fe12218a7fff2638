/*
 * verdict - the words for the steps of a session.
 *
 * The words of commands are those that log analysers know from Postfix ("in reply to end of DATA command").
 */
#include "base/verdict.h"

#include <stddef.h>

static const char *const step_texts[STEP_COUNT] = {
    [STEP_NONE] = "no step",
    [STEP_CONNECT] = "connection",
    [STEP_BANNER] = "initial server greeting",
    [STEP_EHLO] = "EHLO command",
    [STEP_HELO] = "HELO command",
    [STEP_LHLO] = "LHLO command",
    [STEP_STARTTLS] = "STARTTLS command",
    [STEP_TLS] = "TLS handshake",
    [STEP_AUTH] = "AUTH command",
    [STEP_MAIL] = "MAIL FROM command",
    [STEP_RCPT] = "RCPT TO command",
    [STEP_DATA] = "DATA command",
    [STEP_BODY] = "message body",
    [STEP_DOT] = "end of DATA command",
    [STEP_RSET] = "RSET command",
    [STEP_QUIT] = "QUIT command",
    [STEP_IDLE] = "idle connection",
    [STEP_ROUTE] = "routing",
    [STEP_RESOLVE] = "name lookup",
    [STEP_MAILBOX] = "mailbox delivery",
};

const char *mail_step_text(enum mail_step step)
{
    return (size_t)step < STEP_COUNT ? step_texts[step] : step_texts[STEP_NONE];
}
