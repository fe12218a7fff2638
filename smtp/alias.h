/*
 * alias - reads the text of aliases(5), of :include: files and of .forward files, value by value.
 *
 * The syntax is that of sendmail and Postfix: "name: value, value"; a line that begins with a blank goes on with the one before; "#" at
 * the start of a line is a comment; names and values may be quoted. The kind of a value is told by how it begins. Nothing is looked up,
 * opened or run here, and whether commands and files are allowed is the caller's to say.
 *
 * A reader goes over one text, forwards, and hands out one thing at a time; after something bad it goes on with the next line, so that
 * one run reports all. A caller that wants all or nothing drops what it got.
 */
#ifndef SMTP_ALIAS_H
#define SMTP_ALIAS_H

#include "base/bytes.h"

enum { SMTP_ALIAS_VALUE_BYTES_MAX = 2048 }; /* commands with a long path and some arguments; addresses are far shorter */

enum smtp_alias_event {
    SMTP_ALIAS_END = 0, /* of the text */
    SMTP_ALIAS_NAME,    /* an entry begins; its values follow, at least one */
    SMTP_ALIAS_ADDRESS, /* an address or a local name, as written, quotes of its local part included; not judged yet */
    SMTP_ALIAS_EXACT,   /* the same behind a backslash: a mailbox of that name, with no further aliases */
    SMTP_ALIAS_COMMAND, /* what follows the '|' */
    SMTP_ALIAS_FILE,    /* a path that begins with '/' */
    SMTP_ALIAS_INCLUDE, /* a path behind :include: */
    SMTP_ALIAS_BAD,     /* line r->line cannot be read; it is passed over; *value is a sentence of ours */
};

struct smtp_alias_reader {
    struct bytes text;    /* borrowed */
    uint32_t pos;         /* octets read */
    uint32_t line;        /* of the last event, from 1 */
    uint32_t column;      /* where it begins in that line, in octets from 1; of BAD, where reading it had to stop */
    uint32_t line_start;  /* where the line that pos is in begins */
    uint32_t next_line;   /* where pos is */
    bool list;            /* values only: an :include: or .forward file */
    bool inside;          /* behind an entry's name, or in a line of a list */
    uint8_t store[SMTP_ALIAS_VALUE_BYTES_MAX]; /* of the last event's value */
};

/* smtp_alias_init - over a text; `list` for :include: and .forward files, which have no names and no continued lines. */
void smtp_alias_init(struct smtp_alias_reader *r, struct bytes text, bool list);

/*
 * smtp_alias_next - the next event.
 * Out      *value   its text, without quotes and with ASCII letters of a NAME in lower case; in the reader until the next call
 * Cost     O(octets read), no allocation
 */
enum smtp_alias_event smtp_alias_next(struct smtp_alias_reader *r, struct bytes *value);

#endif
