/*
 * sendmail - what the files of sendmail(1) share: the command that other programs hand mail to.
 *
 * It runs as the user who calls it, with no more rights than that (no set-id), and speaks SMTP with mtad over a Unix socket, where the kernel says
 * who that user is. mailq and newaliases are the same program by other names.
 */
#ifndef TOOLS_SENDMAIL_H
#define TOOLS_SENDMAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    MESSAGE_BYTES_MAX = 1024 * 1024 * 1024, /* of input; the server's own limit is far below */
    CONTENT_LINE_BYTES_MAX = 998,           /* RFC 5322 2.1.1; longer lines of a body are broken */
    TRY_FOR_MS = 30 * 1000,                 /* while mtad cannot be reached, or says "not now" */
};

enum mode { MODE_SEND = 0, MODE_SMTP, MODE_QUEUE, MODE_ALIASES, MODE_VERIFY, MODE_FLUSH, MODE_NOTHING };

/* Memory that grows; a failure ends the program with EX_OSERR, for there is nobody to be told of a part. */
struct grown {
    uint8_t *ptr; /* owned */
    uint64_t len, cap;
};
void grown_put(struct grown *g, struct bytes text);
static inline struct bytes grown_bytes(const struct grown *g) { return bytes_of(g->ptr, (uint32_t)g->len); }

struct list { /* of texts */
    struct grown octets;
    uint32_t *ends;     /* owned; where each one ends in octets */
    uint32_t count, cap;
};
void list_add(struct list *l, struct bytes text);
struct bytes list_item(const struct list *l, uint32_t i);

struct job {
    enum mode mode;
    bool from_header;        /* -t */
    bool dot_is_text;        /* -i */
    bool gateway;            /* -G: the header is left as it is */
    bool smtputf8, requiretls, verbose;
    bool verp;               /* -XV: a sender of its own for each recipient */
    uint8_t verp_marks[2];   /* + and = when not given */
    const char *sender;      /* -f, or NULL; "" and "<>" are the null sender */
    const char *name;        /* -F, or NULL */
    const char *notify;      /* -N, checked, in the form of NOTIFY=; or NULL */
    const char *ret;         /* -R: FULL or HDRS, or NULL */
    const char *envid;       /* -V, or NULL */
    const char *config;      /* -C, or NULL */
    const char *aliases;     /* -oA, or NULL */
    const char *flush_id, *flush_site;
    struct list recipients;  /* of the command line */
};

/* options_read - the command line into a job. Returns 0, or the exit code after it was said what is wrong. */
int options_read(struct job *j, int argc, char **argv);

/* complain - one line on standard error; returns `code`, of sysexits(3). */
int complain(int code, const char *what, struct bytes text);

/* ---- addresses.c ---- */
struct found_address {
    struct bytes address; /* without comments and blanks; good until the next call */
    uint32_t end;         /* where it ends in the text: a domain that is missing goes there */
    bool has_domain;
};
struct address_scan { struct bytes text; uint32_t at; uint8_t memory[1024]; };
/*
 * address_next - the next address of a list as in a To field.
 * Source   RFC 5322 3.4 with its obsolete forms: comments, quoted strings, names before <>, groups, routes
 * Returns  false at the end; an address that is too long, or not one, comes as what it is, and is judged by whoever sends it
 * Cost     O(n), no allocation
 */
bool address_next(struct address_scan *s, struct found_address *out);

/* ---- message.c ---- */
struct content {
    struct grown text;       /* CR LF line ends, header and body */
    struct list recipients;  /* of the header, for -t */
    bool non_ascii_header;
};
/* input_read - all of standard input. */
struct grown input_read(void);
/* content_make - the message that is sent, of what was given: line ends, the fields of the header. `sender` is whole; domain is put behind bare names. */
void content_make(const struct job *j, struct bytes input, struct bytes sender, struct bytes domain, struct content *out);

/* ---- submit.c ---- */
/* submit - send the job's message; returns the exit code. speak_smtp - -bs: pass octets on between our caller and mtad. */
int submit(const struct job *j);
int speak_smtp(const struct job *j);

/* ---- link.c: to mtad ---- */
/* link_to_mtad - a connected socket, or -1 with *why. */
int link_to_mtad(const struct job *j, const char **why);
uint64_t now_ms(void);

/* ---- queue.c ---- */
int show_queue(const struct job *j);
int flush_queue(const struct job *j);
int check_aliases(const struct job *j);

#endif
