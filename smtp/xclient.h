/*
 * xclient - the arguments of XCLIENT, with which a trusted front end (or a tester) says whose session this is.
 *
 * By the letter of Postfix's XCLIENT_README. Values are xtext; "[UNAVAILABLE]" takes a value away, "[TEMPUNAVAIL]" says that it could not
 * be had just now. All of a command is taken or nothing; who may say it is not decided here.
 */
#ifndef SMTP_XCLIENT_H
#define SMTP_XCLIENT_H

#include "base/limits.h"
#include "base/net.h"

enum smtp_xclient_attribute {
    SMTP_XCLIENT_NAME = 0, /* the client's host name */
    SMTP_XCLIENT_ADDR,
    SMTP_XCLIENT_PORT,
    SMTP_XCLIENT_PROTO,
    SMTP_XCLIENT_HELO,
    SMTP_XCLIENT_LOGIN,
    SMTP_XCLIENT_DESTADDR, /* ours, that the client connected to */
    SMTP_XCLIENT_DESTPORT,
    SMTP_XCLIENT_COUNT
};

/* SMTP_XCLIENT_BIT - an attribute in the sets below. */
#define SMTP_XCLIENT_BIT(attribute) (1u << (attribute))

/* The attributes as EHLO offers them behind "XCLIENT". */
#define SMTP_XCLIENT_OFFER "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

/* It points into itself: to be filled where it stays. */
struct smtp_xclient {
    uint32_t present;     /* set of attributes that were said */
    uint32_t unavailable; /* of these: "[UNAVAILABLE]" */
    uint32_t temporary;   /* of these: "[TEMPUNAVAIL]" */
    struct bytes name, helo, login;          /* in store; empty unless said with a value */
    struct net_address address, destination; /* IP and port are said one by one: either may be 0 */
    bool esmtp;                              /* PROTO=ESMTP */
    uint8_t store[HOST_NAME_BYTES_MAX * 3];
};

/* smtp_xclient_parse - what follows "XCLIENT ". False (501) on anything unknown, repeated or malformed; *out is empty then. O(n). */
bool smtp_xclient_parse(struct bytes arguments, struct smtp_xclient *out);

#endif
