/*
 * text - a message as the text of a mailbox: Return-Path and Delivered-To in front, lines that end in LF, and for an mbox what looks like the beginning of
 * another message marked.
 */
#ifndef MTA_STORE_TEXT_H
#define MTA_STORE_TEXT_H

#include "mta/store/maildir.h"

struct text { /* all zero but for fd and mbox at the beginning */
    int fd;
    bool mbox;        /* ">" is put before ">...>From " at the beginning of a line (mboxrd) */
    bool cr;          /* a CR is held back until the next octet shows what follows */
    uint8_t place;    /* where in the line: 0 at its beginning, behind any ">"; 1..4 so many octets of "From" are held back; 5 elsewhere */
    bool ended;       /* the last octet written was LF */
};

/* text_put - octets of a message. text_message - all of it, and for an mbox the empty line behind it. Errors of write(2) and pread(2). O(n). */
must_use enum err text_put(struct text *t, struct bytes text);
must_use enum err text_message(struct text *t, const struct maildir_message *m);
/* text_write - octets as they are. */
must_use enum err text_write(int fd, struct bytes text);

#endif
