/*
 * envelope - who a message is from and for, as shared by the protocol, the queue and the processes.
 *
 * A recipient list is one flat run of octets, so that it can be passed between processes, stored, and walked without allocation:
 * each entry is  u8 notify | u8 flags | u16 address octets | address | u16 orcpt octets | orcpt , little-endian.
 * An entry is at most RCPT_ENTRY_BYTES_MAX. Lists are never trusted: rcpt_next() checks every bound.
 */
#ifndef BASE_ENVELOPE_H
#define BASE_ENVELOPE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/net.h"

/* NOTIFY= of RFC 3461 4.1, as bits; 0 = not given. */
enum { NOTIFY_DEFAULT = 0, NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };
/* RET= of RFC 3461 4.3. */
enum { RET_DEFAULT = 0, RET_FULL = 1, RET_HDRS = 2 };

/* Flags of a message, in COMMIT, on disk, and in attempts. */
enum {
    MAIL_SMTPUTF8 = 1,       /* the client said SMTPUTF8 (RFC 6531) */
    MAIL_BODY_8BIT = 2,      /* the body or header has octets over 127 */
    MAIL_NEEDS_SMTPUTF8 = 4, /* envelope or header holds non-ASCII, so that the next hop must offer SMTPUTF8 */
    MAIL_TRUSTED = 8,        /* came from a trusted network, an authenticated client, or this host */
    MAIL_LOCAL = 16,         /* Bulkhead's own mail (bounces, notices): may use any route */
    MAIL_AUTHENTICATED = 64, /* came from an authenticated client */
    MAIL_BOUNCE = 32,        /* a delivery status notification of ours */
    MAIL_EXPANDED = 64,      /* some recipients have flags of their own */
};

/* Flags of a recipient: how it came into the list. None for one that the client gave. */
enum {
    RCPT_EXPANDED = 1,  /* by an alias: this host wants it to be sent there, whoever the client was */
    RCPT_FORWARDED = 2, /* ... to another host: the envelope sender is rewritten (SRS) when that is asked for */
    RCPT_OWNER = 4,     /* ... that has an owner: the sender is owner-NAME, of the NAME in orcpt */
    RCPT_FLAGS_ALL = 7
};

enum { RCPT_ENTRY_BYTES_MAX = 6 + MAIL_ADDRESS_BYTES_MAX + MAIL_ORCPT_BYTES_MAX };

struct rcpt {
    uint8_t notify;       /* NOTIFY_ bits */
    uint8_t flags;        /* RCPT_ bits */
    struct bytes address; /* local@domain, domain in lower case, borrowed from the list */
    struct bytes orcpt;   /* "rfc822;x@y" as given and checked (RFC 3461 4.2), or empty */
};

/* rcpt_put - append an entry to a list; overflow as any buf, also for an entry that rcpt_next() would refuse. */
void rcpt_put(struct buf *list, const struct rcpt *r);

/*
 * rcpt_next - the next entry of a list.
 * In       c          over the list; moves forward
 * Returns  true and *r filled; false at the end (c->failed false) or when the list is broken (c->failed true): cut short,
 *          an empty or too long address, a control octet in a text, unknown flags, NEVER together with other NOTIFY_ bits
 * Owner    r borrows from the list
 */
bool rcpt_next(struct cursor *c, struct rcpt *r);

/* rcpt_list_check - whether a list is well formed and has exactly `count` entries. ERR_BAD_VALUE, ERR_SHORT, ERR_TRAILING; O(n). */
must_use enum err rcpt_list_check(struct bytes list, uint32_t count);

/* mail_domain - the part of an address behind its last '@', or empty (the null sender, bare postmaster). */
struct bytes mail_domain(struct bytes address);
/* mail_local - the part before its last '@', or all of it. */
struct bytes mail_local(struct bytes address);

struct message_id {
    uint64_t v; /* 41 bits ms since 2020-01-01, 10 bits node, 13 bits counter; 0 = none; printed as 16 hexadecimal digits */
};
enum { MESSAGE_ID_TEXT_BYTES = 16 };
/* message_id_print - exactly 16 upper-case hexadecimal digits. */
void message_id_print(struct buf *out, struct message_id id);
/* message_id_parse - 16 hexadecimal digits, either case; false otherwise or for 0. */
bool message_id_parse(struct bytes text, struct message_id *id);

/* Where a message came in: kept for routing, for the log and for listings. */
struct origin_client {
    struct net_address address; /* of the client; family 0 for our own mail */
    struct bytes name;          /* forward-confirmed name, or "unknown" */
    struct bytes helo;          /* as given, unescaped */
};

#endif
