/*
 * expand - who an address stands for: aliases, virtual addresses, catch-alls and sub-addresses, all at once, as a pure function of the image.
 *
 * An address is looked up in the tables that its route names by `rewrite`; one at this host itself, when its route names none, in the table of
 * the block `aliases`. Each value is an address that is looked up in turn. An alias is expanded once: who is in it by two ways gets one copy,
 * and a circle ends. An alias that names itself means the mailbox of that name. No recursion: a list of what is still to be looked at.
 * The receiver asks at RCPT, the manager at COMMIT: what it finds is part of the message's record before anybody hears 250.
 */
#ifndef MTA_CONFIG_EXPAND_H
#define MTA_CONFIG_EXPAND_H

#include "mta/config/config.h"

enum {
    EXPAND_ITEMS_MAX = 20000,              /* addresses looked at for one recipient: lists, and lists of lists */
    EXPAND_RCPTS_MAX = 10000,              /* recipients that one may stand for; a longer list wants a list manager */
    EXPAND_DEPTH_MAX = 20,                 /* alias of an alias; people nest two or three deep */
    EXPAND_TEXT_BYTES_MAX = 1024 * 1024,
    EXPAND_SLOTS = 65536,                  /* a power of two, several times as many as items */
};

enum expand_answer {
    EXPAND_NONE = 0, /* no alias: the address means itself */
    EXPAND_DONE,
    EXPAND_EMPTY,    /* an alias that leads to nobody, or only back to itself */
    EXPAND_MANY,     /* to more than the limits above */
    EXPAND_ACTION,   /* to a command or a file, which is not allowed */
    EXPAND_BAD,      /* to something that is no address */
    EXPAND_FORGED,   /* it looks like a sender that we rewrote, and is none, or too old */
    EXPAND_ANSWERS
};

struct expand_item {
    struct bytes address;   /* local@domain; of `text`, of the image, or of the question */
    uint32_t alias;         /* item whose alias it is a value of; itself for the first */
    uint32_t owner;         /* item whose owner- address its sender becomes; UINT32_MAX = none */
    uint32_t table, entry;  /* of the alias that it is, once it was expanded; table UINT32_MAX = it is none */
    uint8_t depth;
    bool exact;             /* no further aliases */
    bool is_rcpt;           /* mail goes there */
};

struct expansion { /* memory of one expansion; large, and used again */
    uint32_t count, rcpts;
    struct expand_item items[EXPAND_ITEMS_MAX];
    struct buf text;
    uint32_t slots[EXPAND_SLOTS];          /* items + 1 by address (recipients) or by entry (aliases) */
    uint8_t memory[EXPAND_TEXT_BYTES_MAX];
};

/*
 * expand_address - expand one recipient.
 * In       q    of the message; the rcpt in it is expanded, and must outlive *x. Values are routed as mail that this host sends
 *          x    its memory
 * Out      x->items[..count): those with is_rcpt are the recipients, each once
 * Cost     O(values x (routes + log entries)); no allocation
 */
enum expand_answer expand_address(const struct config *c, const struct route_question *q, struct expansion *x);

/* expand_has_alias - whether an address is one, without expanding it. */
bool expand_has_alias(const struct config *c, const struct route_question *q);

/* expand_is_srs - whether an address has the form of a sender that this site rewrote; only the manager can tell whether it is one. */
bool expand_is_srs(const struct config *c, struct bytes address);

/* expand_words - why an expansion cannot be made, for a reply. */
const char *expand_words(enum expand_answer answer);

/* expand_owner - append the owner- address of an alias: "owner-list@domain". */
void expand_owner(struct buf *out, struct bytes alias);

/* expand_strip - an address without its sub-address, by its route's `sub-address`; the address itself when there is none. *out is used as memory. */
struct bytes expand_strip(const struct config *c, uint32_t route, struct bytes address, struct buf *out);

#endif
