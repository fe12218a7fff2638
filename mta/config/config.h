/*
 * config - the configuration as one checked, immutable image.
 *
 * The master parses the file once (base grammar in base/grammar.h, keys in mta/config/keys.h), checks it whole, and writes this image into a sealed
 * memory file that every role maps read-only. So all roles see the same generation, and no role opens a file or parses text.
 * An image has no pointers: texts and lists are offsets from its start. Readers use the accessors below, which check bounds.
 * Every field has its default filled in: a reader never decides what "not given" means, but where a comment says so.
 */
#ifndef MTA_CONFIG_CONFIG_H
#define MTA_CONFIG_CONFIG_H

#include "base/bytes.h"
#include "base/envelope.h"
#include "base/err.h"
#include "base/net.h"

enum { CONFIG_MAGIC = 0x424b4346, CONFIG_IMAGE_VERSION = 1 };
enum { CONFIG_RELAYS_MAX = 8, /* hosts of one relay: who has more uses MX */ CONFIG_RETRY_STEPS_MAX = 32, CONFIG_NAME_BYTES_MAX = 64 };

struct config_text { uint32_t offset, len; };      /* octets; len 0 = empty or not given */
struct config_list { uint32_t offset, count; };    /* of the struct that the field's comment names */

enum config_listen_tls {
    LISTEN_TLS_OFF = 0,
    LISTEN_TLS_STARTTLS,          /* offered */
    LISTEN_TLS_STARTTLS_REQUIRED, /* in the clear no mail is taken, and no password */
    LISTEN_TLS_IMPLICIT,          /* TLS comes first (RFC 8314 3.3) */
};

struct config_listener { /* listen NAME { ... } */
    struct config_text name;
    struct config_list addresses;       /* struct net_address */
    struct config_list trust;           /* struct net_prefix; empty = nobody, loopback included */
    uint8_t bare_newline;               /* enum smtp_bare_newline: refuse (default), normalise */
    bool strict_lines;                  /* strict on: refuse content lines over 998 octets */
    uint32_t connections_max;           /* max-connections of this listener; 0 = only the limits block */
    struct config_text socket;          /* a Unix socket instead of addresses: its clients are users of this host, and trusted; empty = none */
    struct config_list peers;           /* uint32_t: user ids that may use the socket; empty = every user */
    struct config_text auth;            /* name of its auth block; empty = no AUTH. A listener with one is for submission (RFC 6409) */
    uint16_t auth_block;                /* its index in `auths`, when it has one */
    struct config_text owners_table;    /* sender-logins: name of the table; empty = a login may send as anybody */
    struct config_list owners;          /* struct config_owner, sorted by address */
    uint8_t tls;                        /* enum config_listen_tls */
    struct config_text tls_name;        /* which tls block; `default' when not given */
    uint16_t tls_block;                 /* its index in `tls`, when tls is not off */
    uint64_t greeting_delay_ms;         /* greeting-delay for strangers; 0 = off */
    struct config_list allow;           /* struct net_prefix; empty = everybody may connect */
    struct config_list proxies;         /* struct net_prefix: peers that send a PROXY header, and must */
    struct config_list xclient;         /* struct net_prefix: clients that may say XCLIENT */
    struct config_text rules_name;      /* rules NAME, or empty */
    uint32_t rules;                     /* its place in config.rules, plus one; 0 = none */
};

/* Certificates of one tls block; more would make the first message of every client's handshake a search. */
enum { CONFIG_TLS_CERTIFICATES_MAX = 64 };
enum config_tls_version { TLS_VERSION_1_2 = 0, TLS_VERSION_1_3 };

struct config_certificate { struct config_text chain, key; }; /* paths of PEM files: chain with the host's own certificate first; its private key */

struct config_tls { /* tls NAME { ... } */
    struct config_text name;
    struct config_certificate certificates[CONFIG_TLS_CERTIFICATES_MAX]; /* the first is for clients that name no host, or one that none is for */
    uint32_t certificate_count;
    uint8_t min_version;                /* enum config_tls_version */
    bool tickets;                       /* sessions may be resumed */
    struct config_text file;            /* where it stands, for problems */
    uint32_t line;
};

struct config_owner { /* a line of sender-logins */
    struct config_text address; /* in lower case: an address, @domain, or "" for the null sender */
    struct config_text logins;  /* as written, separated by blanks or commas; "*" is every login */
};

enum { CONFIG_AUTHS_MAX = 16 }; /* auth blocks; one is usual */

struct config_auth { /* auth NAME { ... } */
    struct config_text name;
    struct config_text file;            /* password file of mtactl user, or empty ... */
    struct config_text dovecot;         /* ... and then the path of Dovecot's socket for authentication */
    uint32_t mechanisms;                /* SMTP_SASL_BITs that are offered */
};

/* What is limited a minute, and whose: limits.rates. */
enum config_rate { RATE_CONNECTIONS = 0, RATE_MESSAGES, RATE_RECIPIENTS, RATE_ERRORS, RATE_KINDS };
enum config_rate_of { RATE_OF_CLIENT = 0, RATE_OF_PREFIX, RATE_OFS };

/* What a line of allow, deny or check is about, and what it says. */
enum config_rule_subject { ACCESS_OF_CLIENT = 0, ACCESS_OF_HELO, ACCESS_OF_SENDER, ACCESS_OF_RECIPIENT, ACCESS_OF_SUBJECTS };
enum config_rule_verdict { ACCESS_NOTHING = 0, ACCESS_ALLOW, ACCESS_DENY, ACCESS_CHECK };
enum config_helo_rule { HELO_OFF = 0, HELO_BASIC, HELO_FQDN, HELO_RESOLVES };
enum config_reverse_rule { REVERSE_OFF = 0, REVERSE_ANY, REVERSE_CONFIRMED };

struct config_rule {                /* one line; in file order the first that matches decides */
    uint8_t verdict, subject;       /* enum config_rule_verdict, enum config_rule_subject */
    struct config_text words;       /* as written behind the subject, answer included; for show and explain */
    struct config_list names;       /* struct config_text: keys as mta/config/rules.h makes them, sorted by bytes_compare */
    struct config_list prefixes;    /* struct net_prefix, for ACCESS_OF_CLIENT */
    uint32_t table;                 /* of ACCESS_CHECK: place in config.tables; its values are the verdicts */
    uint16_t code;                  /* of ACCESS_DENY: its answer; 0 = the usual one */
    struct config_text text;        /* without code; may begin with an enhanced status */
    uint32_t line;
};

struct config_dnslist {             /* dnsbl ZONE, dnswl ZONE */
    struct config_text zone;
    int32_t weight;                 /* negative for dnswl */
    uint8_t subject;                /* enum config_rule_subject: address of the client, or name in HELO, domain of the sender */
    bool any_answer;                /* no `answers' was given */
    struct config_text answers;     /* as written */
    uint32_t line;
};

enum { CONFIG_DNSLISTS_MAX = 16 };  /* of one block: each costs a question to the DNS for each stranger */

struct config_rules { /* rules NAME { ... } */
    struct config_text name, file;  /* the file it stands in */
    uint32_t line;
    struct config_list rules;       /* struct config_rule */
    struct config_list dnslists;    /* struct config_dnslist; at most CONFIG_DNSLISTS_MAX */
    uint8_t helo, reverse;          /* enum config_helo_rule, enum config_reverse_rule */
    bool sender_domain;             /* a sender's domain must have a mail exchanger or an address */
    bool greylist;                  /* unknown clients are told to come back */
    bool trusted;                   /* these rules are for trusted clients too */
    uint32_t refuse_score, accept_score;
    uint32_t helo_line, reverse_line, sender_domain_line, greylist_line; /* 0 = the default */
};

enum config_log_target { LOG_TARGET_STDERR = 0, LOG_TARGET_FILE, LOG_TARGET_SYSLOG };
enum config_engine { ENGINE_AUTO = 0, ENGINE_IO_URING, ENGINE_EPOLL };
enum config_action { ACTION_NONE = 0, ACTION_RELAY, ACTION_MX, ACTION_MAILDIR, ACTION_DISCARD, ACTION_REJECT, ACTION_LMTP, ACTION_LOCAL, ACTION_TRANSPORT };
/* What an LMTP server's "mailbox is full" (x.2.2, 552) means: what its code says; later; never. */
enum config_check { CHECK_NONE = 0, CHECK_LMTP, CHECK_TABLE };
enum config_full { FULL_AS_IS = 0, FULL_DEFER, FULL_BOUNCE };
enum config_family { FAMILY_BOTH = 0, FAMILY_IPV4, FAMILY_IPV6 };

/* What one `match` line asks for; several words on a line are alternatives of one kind; several lines must all hold. */
enum config_match_kind { MATCH_NONE = 0, MATCH_ANY, MATCH_LOCAL, MATCH_RCPT_DOMAIN, MATCH_RCPT, MATCH_SENDER, MATCH_SENDER_DOMAIN, MATCH_CLIENT, MATCH_TRUSTED, MATCH_AUTHENTICATED };

struct config_match {
    uint8_t kind;                /* enum config_match_kind */
    uint32_t either;             /* several kinds without words, joined by `or': a bit for each; 0 = only `kind' */
    struct config_text words;    /* as written behind the kind, e.g. "domains example.org"; for show and explain */
    struct config_list names;    /* struct config_text, lower case, sorted by bytes_compare, no twins; tables are expanded here; "" is <> */
    struct config_list prefixes; /* struct net_prefix, for MATCH_CLIENT */
};

/* How much TLS a route wants. */
enum config_route_tls { ROUTE_TLS_DEFAULT = 0, ROUTE_TLS_OFF, ROUTE_TLS_OPPORTUNISTIC, ROUTE_TLS_ENCRYPT, ROUTE_TLS_VERIFY };

struct config_relay { /* one host of a relay; they are tried in order */
    struct config_text host;
    bool is_address;
    bool tls_first;              /* smtps: */
    uint16_t port;
    struct net_address address;  /* when it is one; port set */
};

struct config_route { /* route NAME { ... }, in file order */
    struct config_text name;
    struct config_list matches;  /* struct config_match; all must hold */
    uint8_t action;              /* enum config_action */
    uint8_t family;              /* enum config_family */
    bool eight_bit_convert;      /* reserved: `8bit convert` is refused as not supported yet */
    bool local_mbox;                 /* LOCAL: into an mbox; else into a Maildir in the home folder */
    struct config_text local_path;   /* LOCAL: name of the Maildir in the home folder, or the absolute path of the folder of mboxes */
    uint8_t check;                   /* enum config_check: how a recipient is looked up at RCPT */
    uint32_t check_table;            /* CHECK_TABLE: its place in config.tables */
    uint8_t mailbox_full;            /* LMTP: enum config_full */
    struct config_text relay_host;   /* RELAY, LMTP: name or address text, without brackets; or the path of a Unix socket, and relay_address of NET_UNIX */
    struct config_list relays;       /* RELAY: struct config_relay, all of them; what stands beside is the first */
    uint32_t transport_table;        /* TRANSPORT: its place in config.tables */
    uint16_t relay_port;
    bool relay_is_address;
    struct net_address relay_address;/* when it is one; port set */
    bool relay_tls_first;            /* RELAY: smtps: TLS comes before the banner */
    uint8_t tls;                     /* RELAY, MX: enum config_route_tls; DEFAULT only while it is read */
    bool tls_dane;                   /* MX, RELAY: where the host has TLSA records that can be believed, they decide */
    struct config_text maildir;      /* MAILDIR: absolute path with {domain} and {local} */
    uint16_t reject_code;            /* REJECT: 4yz or 5yz */
    struct config_text reject_text;  /* without code; may begin with an enhanced status */
    struct config_text helo;         /* HELO name to use; empty = hostname */
    struct net_address source_ipv4, source_ipv6; /* family 0 = any */
    uint32_t connections_max;        /* per destination of this route */
    uint32_t rcpts_max;              /* recipients in one transaction */
    uint32_t messages_per_connection;
    struct config_text file;         /* where it stands, for explain */
    uint32_t line;
    struct config_list rewrite;      /* uint32_t: places in config.tables that its recipients are looked up in; empty = none */
    uint8_t sub_address;             /* the octet between a user and a detail; 0 = none */
};

enum config_table_format { CONFIG_TABLE_PLAIN = 0, CONFIG_TABLE_ALIASES, CONFIG_TABLE_POSTFIX, CONFIG_TABLE_REGEX };

/* What a value of an aliases(5) file is; in other tables all are TEXT. */
enum config_entry_kind {
    ENTRY_TEXT = 0, /* what stands behind the key; empty for a name alone */
    ENTRY_ADDRESS,  /* an address or a local name */
    ENTRY_EXACT,    /* the same behind a backslash: without further aliases */
    ENTRY_COMMAND,  /* what follows the '|' */
    ENTRY_FILE,     /* an absolute path */
    ENTRY_INCLUDE   /* the path of an :include: file, whose values are the entries with the key ":include:PATH" */
};

struct config_entry { /* a key has as many as it has values, one behind the other */
    struct config_text key;          /* as written; of a regular expression, what is between its delimiters */
    struct config_text value;
    uint32_t line;                   /* of the key in its file */
    uint8_t kind;                    /* enum config_entry_kind */
    uint8_t flags;                   /* PATTERN_ bits (mta/config/pattern.h) of a regular expression */
};

struct config_table { /* table NAME { inline A B ... } or { file PATH; format ... } */
    struct config_text name;
    struct config_text file;         /* its path when it came from one */
    uint8_t format;                  /* enum config_table_format */
    struct config_list entries;      /* struct config_entry, by key as mta/config/table.h compares them; patterns in the order of the file */
};

struct config_rewrite { /* masquerade { ... }: what smtp_rewrite_parse() takes */
    struct config_text pattern, target;
};

struct config_source { /* a file that a table was read from, :include: files too, as it was then */
    struct config_text path;
    uint64_t device, inode, bytes;
    int64_t modified_us, changed_us; /* wall clock */
};

struct config {
    uint32_t magic, version;
    uint64_t image_bytes;
    uint64_t generation;
    struct config_text file;          /* the file's path as given, or "embedded" */
    struct config_text hostname;      /* hostname NAME; the system's own name when not given */
    struct config_text mail_domain;   /* mail-domain NAME: behind local parts alone of sendmail(1); hostname when not given */
    struct config_text postmaster;    /* postmaster ADDRESS; root@hostname when not given */
    struct config_text double_bounce; /* double-bounce ADDRESS; empty = a bounce of a bounce is dropped */
    struct config_text always_bcc;    /* always-bcc ADDRESS: gets a copy of all mail that clients send; empty = nobody */
    uint32_t sender_bcc_table, rcpt_bcc_table; /* sender-bcc, recipient-bcc TABLE: its place in tables + 1; 0 = none */
    struct config_list listeners;     /* struct config_listener */
    struct config_list routes;        /* struct config_route */
    struct config_list tables;        /* struct config_table */
    struct config_list tls;           /* struct config_tls */
    struct config_list auths;         /* struct config_auth */
    uint32_t aliases_table;           /* aliases { file ... }: its place in tables + 1; 0 = not given */
    struct config_list rules;         /* struct config_rules */
    struct config_list table_sources; /* struct config_source */
    struct config_text run_dir;       /* run-dir PATH; /run/mta */
    struct config_text control_socket;/* control { socket PATH }; run_dir/control.sock when not given */
    uint32_t uid_base;                /* uid-base N; 0 = not given */
    struct {
        struct config_text path;      /* absolute; /var/lib/mta/queue */
        uint64_t expire_s, delay_warning_s; /* 5d, 4h; delay_warning 0 = off */
        uint32_t retry_count;
        uint64_t retry_s[CONFIG_RETRY_STEPS_MAX]; /* steps; after the last: last x1.5 up to retry_max_s, with jitter */
        uint64_t retry_max_s;         /* retry-max 4h */
        bool retry_exact;             /* steps were given in the file: the last one repeats */
        uint64_t max_bytes;           /* max-size; 0 = the disk is the limit */
        uint64_t min_free_bytes;      /* min-free 64M: 452 below this much free disk */
        uint64_t segment_bytes;       /* segment-size 64M */
        uint32_t node;                /* 0..1023 for ids */
    } queue;
    struct {
        struct config_text path;      /* /var/lib/mta/greylist */
        uint64_t delay_s, window_s, keep_s;
        uint32_t clients, ipv4_bits, ipv6_bits;
    } greylist;
    struct {
        uint64_t message_bytes;       /* message-size 50M */
        uint32_t rcpts;               /* recipients 1000 */
        uint32_t hops;                /* 100 */
        uint32_t line_bytes;          /* line-octets 64K */
        uint32_t errors;              /* errors 20 */
        uint32_t junk;                /* junk-commands 100 */
        uint32_t connections;         /* connections 10000 in all */
        uint32_t connections_client;  /* connections-per-client 50 */
        uint32_t connections_prefix;  /* connections-per-prefix 200: /24 and /64 */
        uint32_t rates[RATE_KINDS][RATE_OFS]; /* connection-rate-per-client and so on, a minute; 0 off */
        bool count_trusted;           /* count-trusted: trusted clients are limited too */
        uint32_t data_rate;           /* data-rate, octets a second, 0 off */
        uint32_t bounce_bytes;        /* bounce-size 50K: RET=FULL content beyond it is cut to the header */
        uint32_t destination_connections; /* default for routes: 20 */
        uint32_t login_messages;      /* login-messages off: of one login within an hour; 0 = no limit */
        uint32_t login_rcpts;         /* login-recipients off */
        uint32_t connections_out;     /* outbound connections in all: 12000 */
    } limits;
    struct { /* milliseconds */
        uint64_t connect, banner, ehlo, mail, rcpt, data, data_block, data_end, rset, quit, idle;
        uint64_t server_command, server_stress, server_data, drain;
    } timeouts;
    struct { uint32_t receivers, delivers; } workers; /* workers { smtp N; delivery N }: 2 and 2 */
    struct {
        bool use_stub;
        struct net_address stub;      /* resolver { stub IP:PORT } */
        uint64_t timeout_ms;          /* timeout 30s: a whole look-up */
        struct config_text anchor;    /* trust-anchor PATH; empty = the system's, and none for a stub */
    } resolver;
    struct {
        struct config_list allow;     /* struct net_prefix: MX targets that may be special or our own */
        uint16_t mx_port;             /* 25 */
        struct config_text ca_file;   /* authorities for `tls verify` */
    } connect;
    struct { struct config_text user; bool create; } mailbox; /* user empty = the role's own uid; create off */
    struct config_list envelope_from; /* struct config_rewrite: of masquerade, in order; the first that matches is applied */
    struct { struct config_text domain, secret; } srs; /* srs { domain NAME; secret PATH }: both or none */
    struct {
        uint8_t target;               /* enum config_log_target */
        struct config_text path, ident; /* ident default "mta" */
        uint8_t level;                /* enum log_level */
    } log;
    struct { bool require_all; uint8_t engine; /* enum config_engine */ } sandbox; /* sandbox { require all; engine auto|io_uring|epoll } */
};

/* config_bytes - a text of the image. Empty for an offset that is not inside it. */
struct bytes config_bytes(const struct config *c, struct config_text t);

/* config_items - the first item of a list, or NULL when empty or out of bounds; item_bytes is sizeof of the item. */
const void *config_items(const struct config *c, struct config_list list, uint32_t item_bytes);
#define CONFIG_ITEMS(c, list, type) ((const type *)config_items((c), (list), (uint32_t)sizeof(type)))

/* config_map - map a sealed image from a descriptor, read-only, and check magic, version and size. */
must_use enum err config_map(int fd, const struct config **out);

/* config_unmap - forget a mapped image; NULL is allowed. */
void config_unmap(const struct config *c);

/* ---- routing: a pure function of image and question; used by the receiver (admission) and by the manager (scheduling) ---- */

struct route_question {
    struct bytes rcpt;                /* local@domain, domain in lower case */
    struct bytes sender;              /* empty = <> */
    const struct net_address *client; /* NULL or family 0: our own mail */
    bool trusted;                     /* client was trusted when the message came in, or authenticated */
    bool authenticated;
    bool local;                       /* Bulkhead's own mail, or of a user of this host by its socket */
};

/* route_find - index of the first route whose every match holds, or -1. Cost: O(routes x log names). */
int32_t route_find(const struct config *c, const struct route_question *q);

/* route_admits_stranger - whether a client without trust may send to q->rcpt: the first matching route must name the domain by rcpt-domain
 * (or the address by rcpt); `any`, and matches on sender or client, admit nobody. *route is the first matching route or -1. */
bool route_admits_stranger(const struct config *c, const struct route_question *q, int32_t *route);

/* config_in_prefixes - whether a list of struct net_prefix has this address; an empty list has none. */
bool config_in_prefixes(const struct config *c, struct config_list list, const struct net_address *address);

/* config_sender_allowed - whether a login may send as this sender at a listener: always without sender-logins, else when the sender's line, or that of
 * its domain, names the login. Names compare without case of ASCII letters. */
bool config_sender_allowed(const struct config *c, const struct config_listener *l, struct bytes login, struct bytes sender);

/* config_admits_peer - whether a user of this host may use a listener's Unix socket; false for a listener without one. */
bool config_admits_peer(const struct config *c, const struct config_listener *l, uint32_t uid);

/* config_trusts - whether a listener's trust names this client. */
bool config_trusts(const struct config *c, const struct config_listener *l, const struct net_address *client);

/* ---- making an image: master, mtad --check, mtactl config ---- */

struct config_problem_sink { /* where each problem goes, as "file:line:column: error: ..." without newline */
    void (*report)(void *context, bool is_error, struct bytes text);
    void *context;
};

/*
 * config_load - parse, check, and build an image.
 * In       path      NUL-terminated path of the file (our own argv); NULL = the embedded default
 *          state_dir for the embedded default: the absolute path of the folder where the state goes; else unused
 * Out      *fd       sealed memory file with the image
 * Returns  ERR_NONE, or ERR_BAD_VALUE after every problem of the run was reported; ERR_NO_MEMORY or ERR_SYSTEM, reported too, when
 *          there is no memory file to be had
 */
must_use enum err config_load(const char *path, const char *state_dir, uint64_t generation, const struct config_problem_sink *sink, int *fd);

/*
 * What a reload starts from: the text of the configuration as it was first read, without the files of its tables. A reload reads those files
 * again, and nothing else, so that whatever was changed in the configuration itself waits for a restart.
 */
struct config_texts;

/* config_load_keeping - config_load() that also hands out the texts; the caller's, to be freed. *texts is NULL on failure. */
must_use enum err config_load_keeping(const char *path, const char *state_dir, uint64_t generation, const struct config_problem_sink *sink, int *fd,
                                      struct config_texts **texts);
/* config_reload - build the image again with the tables as their files are now; errors as those of config_load(). */
must_use enum err config_reload(const struct config_texts *texts, uint64_t generation, const struct config_problem_sink *sink, int *fd);
void config_texts_free(struct config_texts *texts);

/* config_same_shape - whether a process may go over from one image to the other: they differ in the tables alone. */
bool config_same_shape(const struct config *a, const struct config *b);

/* config_show - print the image back in the file's grammar, with defaults (mtactl config show). out->overflow when it did not fit. */
void config_show(const struct config *c, struct buf *out);

/* config_reference - print every key with unit, default, bounds and meaning as mdoc(7) list items, for mta.conf(5). */
void config_reference(struct buf *out);

#endif
