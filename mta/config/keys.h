/*
 * keys - every block and key of the configuration file, once.
 *
 * From these tables come the parser, the defaults, `mtactl config show`, and the reference in mta.conf(5). A row of CONFIG_KEYS is one of
 *
 *   V(block, key, kind, field, default, min, max, sentence)   a value that goes straight into a field; numbers in the field's own unit
 *   C(block, key, words, field, default, sentence)            one of a few words; the field gets the word's place in the list, from 0
 *   S(block, key, handler, values, flags, sentence)           a key with a parser of its own (read_handler, show_handler)
 *   L(block, key)                                             known, but not built yet: refused by name, never ignored
 *
 * A default is read by the same parser as the file. A minimum of 0 means that the word `off` is taken too.
 */
#ifndef MTA_CONFIG_KEYS_H
#define MTA_CONFIG_KEYS_H

#include "base/log.h"
#include "mta/config/config.h"

/* NAME, keyword, several blocks (then each has a name), structure that owns the fields, sentence */
#define CONFIG_BLOCKS(B) \
    B(TOP,      "",         0, struct config,          "Statements outside of any block.") \
    B(LISTEN,   "listen",   1, struct config_listener, "Where clients connect, and which of them are trusted.") \
    B(ROUTE,    "route",    1, struct config_route,    "Where mail goes. Routes are tried in file order; the first whose every match holds is taken.") \
    B(TLS,      "tls",      1, struct config_tls,      "Certificates and keys, for the listeners that name the block.") \
    B(AUTH,     "auth",     1, struct config_auth,     "Who checks passwords, for the listeners that name the block.") \
    B(TABLE,    "table",    1, struct config_table,    "Named keys with values. Wherever a list of names is expected, a table stands for its keys.") \
    B(RULES,    "rules",    1, struct config_rules,    "Which strangers a listener refuses; in force where a listener names it.") \
    B(GREYLIST, "greylist", 0, struct config,          "How strangers are greylisted, where a rules block asks for it.") \
    B(ALIASES,  "aliases",  0, struct config,          "Aliases of recipients at this host, where their route names no table by rewrite.") \
    B(SRS,      "srs",      0, struct config,          "Sender Rewriting Scheme: what an alias forwards to another host gets a sender at this site, from which a bounce finds back.") \
    B(MASQUERADE, "masquerade", 0, struct config,      "What addresses of this site look like outside, in mail of trusted clients.") \
    B(QUEUE,    "queue",    0, struct config,          "The queue on disk, and when deliveries are tried again.") \
    B(LIMITS,   "limits",   0, struct config,          "Bounds on what clients and messages may ask of this host.") \
    B(TIMEOUTS, "timeouts", 0, struct config,          "How long each step may take (RFC 5321 4.5.3.2).") \
    B(WORKERS,  "workers",  0, struct config,          "How many processes of a kind there are.") \
    B(RESOLVER, "resolver", 0, struct config,          "How names are looked up.") \
    B(CONNECT,  "connect",  0, struct config,          "Where deliveries by MX may connect to.") \
    B(MAILBOX,  "mailbox",  0, struct config,          "Delivery into Maildirs.") \
    B(CONTROL,  "control",  0, struct config,          "The socket of mtactl.") \
    B(LOG,      "log",      0, struct config,          "Where log lines go.") \
    B(SANDBOX,  "sandbox",  0, struct config,          "What confines the processes.") \
    B(RELAY,    "relay",    0, struct config_route,    "Details of a relay.") \
    B(MX,       "mx",       0, struct config_route,    "Details of a delivery by MX.")

#define CONFIG_BLOCK_ENUM(NAME, keyword, several, owner, sentence) CONFIG_BLOCK_##NAME,
enum config_block { CONFIG_BLOCKS(CONFIG_BLOCK_ENUM) CONFIG_BLOCK_COUNT };

enum config_kind {
    KIND_TIME_S = 0, /* uint64_t, seconds */
    KIND_TIME_MS,    /* uint64_t, milliseconds */
    KIND_SIZE,       /* uint64_t, octets */
    KIND_SIZE32,     /* uint32_t, octets */
    KIND_RATE,       /* uint32_t, a second */
    KIND_COUNT,      /* uint32_t */
    KIND_PORT,       /* uint16_t */
    KIND_SWITCH,     /* bool: on, off */
    KIND_PATH,       /* struct config_text: an absolute path */
    KIND_HOST,       /* struct config_text: a host name, in lower case */
    KIND_MAILBOX,    /* struct config_text: local@domain */
    KIND_USER,       /* struct config_text: a name of passwd(5) */
    KIND_WORD,       /* struct config_text: letters, digits, "-_./" */
    KIND_SERVER,     /* struct net_address: IP or IP:PORT, 53 when not given */
    KIND_CHOICE,     /* uint8_t: a word of a list */
    KIND_COUNT_OF_KINDS
};

enum {
    KEY_REPEATS = 1, /* may be given several times in a block */
};

#define CONFIG_SECOND 1000ULL
#define CONFIG_MINUTE (60 * CONFIG_SECOND)
#define CONFIG_HOUR (60 * CONFIG_MINUTE)
#define CONFIG_KIB 1024ULL
#define CONFIG_MIB (1024 * CONFIG_KIB)
#define CONFIG_GIB (1024 * CONFIG_MIB)
#define CONFIG_TIB (1024 * CONFIG_GIB)

#define CONFIG_KEYS(V, C, S, L) \
    S(TOP, "config-version", version, "1", 0, "The version of this grammar; the first statement of the file. This program reads 1.") \
    S(TOP, "include", include, "PATTERN", KEY_REPEATS, "Read other files here; a pattern of glob(7), from the folder of this file.") \
    V(TOP, "hostname", HOST, hostname, "", 0, 0, "The name of this host in banner, HELO, Received and bounces; the system's full name when not given.") \
    V(TOP, "postmaster", MAILBOX, postmaster, "", 0, 0, "Where mail for <postmaster> without domain goes; root@hostname when not given.") \
    V(TOP, "double-bounce", MAILBOX, double_bounce, "", 0, 0, "Where a bounce that cannot be delivered goes; it is dropped, with a log line, when not given.") \
    V(TOP, "mail-domain", HOST, mail_domain, "", 0, 0, "What sendmail(1) puts behind a local part that stands alone; hostname when not given.") \
    V(TOP, "always-bcc", MAILBOX, always_bcc, "", 0, 0, "Who gets a copy of every message that comes in, without being named in it.") \
    S(TOP, "sender-bcc", sender_bcc, "TABLE", 0, "The same by sender: address or @domain, and who gets the copies.") \
    S(TOP, "recipient-bcc", recipient_bcc, "TABLE", 0, "The same by recipient.") \
    V(TOP, "run-dir", PATH, run_dir, "/run/mta", 0, 0, "The folder of sockets.") \
    V(TOP, "uid-base", COUNT, uid_base, "0", 1000, 2147483000, "The first of fourteen user ids that the processes run as; when not given, they are the users _mta-ROLE, or free ids while those do not exist.") \
    L(TOP, "milter") L(TOP, "policy") L(TOP, "dkim") L(TOP, "verify") \
    L(TOP, "credentials") L(TOP, "metrics") L(TOP, "source") L(TOP, "pool") \
    L(TOP, "tenant") L(TOP, "shaping") L(TOP, "on-reply") L(TOP, "console") \
    \
    S(LISTEN, "address", addresses, "IP:PORT ...", 0, "Where to listen; *:PORT is every address of the host, IPv4 and IPv6.") \
    S(LISTEN, "trust", trust, "PREFIX ...", 0, "Networks whose clients may send to any route; local is 127.0.0.0/8 ::1/128. Nobody when not given, this host included.") \
    C(LISTEN, "bare-newline", "refuse normalise", bare_newline, "refuse", "What becomes of mail with CR or LF alone: refused, or mended before it is stored.") \
    V(LISTEN, "strict", SWITCH, strict_lines, "off", 0, 0, "Refuse lines of more than 998 octets.") \
    V(LISTEN, "max-connections", COUNT, connections_max, "off", 0, 1000000, "Connections of this listener at once; off leaves it to limits.") \
    S(LISTEN, "tls", listen_tls, "off | starttls NAME | starttls-required NAME | implicit NAME", 0, "TLS on this listener, with the certificates of the tls block NAME; the block `default' when no name is given. starttls offers it; starttls-required takes no mail in the clear; implicit begins with it. Off when not given.") \
    V(LISTEN, "socket", PATH, socket, "", 0, 0, "A Unix socket instead of addresses, for sendmail(1): the kernel says which user of this host is there, and all who may use it are trusted.") \
    S(LISTEN, "peers", peers, "any | USER ...", 0, "Who may use the socket: names or numbers of users; any when not given. root always may.") \
    V(LISTEN, "auth", WORD, auth, "", 0, 0, "The auth block that checks logins. Mail is then taken from authenticated and trusted clients alone, and what its header lacks is put in. Needs tls.") \
    S(LISTEN, "sender-logins", sender_logins, "TABLE", 0, "Who may send as whom: lines of an address, @domain or <> and the logins that may use it as sender; * is every login.") \
    V(LISTEN, "greeting-delay", TIME_MS, greeting_delay_ms, "off", 0, CONFIG_MINUTE, "How long a stranger is watched before the banner; who talks meanwhile is refused.") \
    S(LISTEN, "allow", listen_allow, "PREFIX ...", 0, "Networks whose clients may connect; everybody when not given.") \
    S(LISTEN, "proxy-protocol", proxies, "PREFIX ...", 0, "Peers that must begin with a PROXY header, version 1 or 2; their clients are who it says.") \
    S(LISTEN, "xclient", xclient, "PREFIX ...", 0, "Clients that may say XCLIENT, and so whose session it is.") \
    S(LISTEN, "rules", rules, "NAME", 0, "The rules block for its strangers; none when not given.") \
    L(LISTEN, "milters") L(LISTEN, "policies") \
    \
    S(ROUTE, "match", match, "any | local | trusted | authenticated | rcpt-domain D ... | rcpt A ... | sender A ... | sender-domain D ... | client PREFIX ...", \
      KEY_REPEATS, "What the route is for. Several words are alternatives; several lines must all hold. local is Bulkhead's own mail, and mail of users of this host by a socket; authenticated clients are trusted too. Kinds without words may be joined: authenticated or local.") \
    S(ROUTE, "relay", relay, "smtp://HOST:PORT ... | smtps://HOST:PORT ...", 0, "Send to this host; its addresses are looked up, its MX are not. The port is 25 when not given; smtps begins with TLS, and its port is 465. Of several hosts (8 at most) the next is tried when those before it cannot be reached; all are smtp, or all smtps. A block behind it may say tls off | opportunistic | encrypt | verify, and dane beside opportunistic or encrypt; opportunistic for smtp and encrypt for smtps when not given.") \
    S(ROUTE, "transport", transport, "TABLE", 0, "Send where the table says, by address, domain, or .domain: smtp:[HOST]:PORT, smtp:DOMAIN, lmtp:[HOST]:PORT, discard:. Mail that is not in it goes by MX.") \
    S(ROUTE, "mx", mx, "", 0, "Send to the mail exchangers of the recipient's domain. A block behind it may say tls, with the words of relay; opportunistic when not given.") \
    S(ROUTE, "lmtp", lmtp, "unix:PATH | inet:HOST:PORT", 0, "Deliver by LMTP to a mailbox server such as Dovecot; the port is 24 when not given.") \
    C(ROUTE, "mailbox-full", "as-is defer bounce", mailbox_full, "as-is", "What an LMTP server's answer that a mailbox is full means: what its code says, try later, or return to the sender at once.") \
    S(ROUTE, "recipient-check", recipient_check, "lmtp | TABLE", 0, "Refuse unknown recipients at RCPT: ask the route's LMTP server, or look in a table (address, local part, or @domain).") \
    S(ROUTE, "local", local, "maildir [NAME] | mbox [FOLDER]", 0, "Deliver as the user of this host whose name is the local part: into a Maildir of the home folder (Maildir when not given), or the user's file in a folder of mboxes (/var/mail).") \
    S(ROUTE, "maildir", maildir, "PATH", 0, "Deliver into this Maildir; {domain} and {local} are the recipient's.") \
    S(ROUTE, "discard", discard, "", 0, "Take the mail and drop it.") \
    S(ROUTE, "reject", reject, "CODE TEXT", 0, "Refuse the recipient with this answer; 4yz or 5yz.") \
    C(ROUTE, "family", "both ipv4 ipv6", family, "both", "Which kind of address deliveries connect to.") \
    S(ROUTE, "source", source, "IP ...", 0, "Address to connect from: one, or one of each family. Any when not given.") \
    V(ROUTE, "helo", HOST, helo, "", 0, 0, "The name given in EHLO; hostname when not given.") \
    V(ROUTE, "connections", COUNT, connections_max, "0", 1, 10000, "Connections to one destination at once; destination-connections of limits when not given.") \
    V(ROUTE, "recipients", COUNT, rcpts_max, "100", 1, 100000, "Recipients in one transaction.") \
    V(ROUTE, "messages-per-connection", COUNT, messages_per_connection, "100", 1, 1000000, "Messages on one connection before it is closed.") \
    S(ROUTE, "8bit", eight_bit, "as-is", 0, "8-bit mail goes unchanged to hosts that do not offer 8BITMIME.") \
    S(ROUTE, "rewrite", rewrite, "TABLE ...", 0, "Tables in which recipients are looked up before they are delivered: aliases, virtual addresses, @domain for all others. Values are looked up again.") \
    S(ROUTE, "sub-address", sub_address, "CHARACTER", 0, "What stands between a user and a detail that does not count for delivery, such as +. Nothing when not given.") \
    L(ROUTE, "pool") \
    L(RELAY, "auth") S(RELAY, "tls", relay_tls, "off | opportunistic | encrypt | verify | dane", 0, "How much TLS.") \
    S(MX, "tls", mx_tls, "off | opportunistic | encrypt | verify | dane", 0, "How much TLS.") \
    \
    S(TLS, "certificate", certificate, "PATH", KEY_REPEATS, "A PEM file with the certificate of this host and those that lead to a known authority. May be given several times, each with its key behind it: for several names, chosen by what the client asks for (SNI), and for one name with an ECDSA and an RSA key. The first is the default.") \
    S(TLS, "key", key, "PATH", KEY_REPEATS, "The PEM file with the private key of the certificate before it, RSA or ECDSA, without a password.") \
    C(TLS, "min-version", "1.2 1.3", min_version, "1.2", "The oldest version of TLS that is spoken.") \
    V(TLS, "tickets", SWITCH, tickets, "on", 0, 0, "Clients may resume a session without a whole handshake; the keys of their tickets change every few hours.") \
    \
    V(AUTH, "file", PATH, file, "", 0, 0, "A password file, kept by mtactl user; read again when it changes.") \
    V(AUTH, "dovecot", PATH, dovecot, "", 0, 0, "The socket of Dovecot's authentication service, instead of a file.") \
    S(AUTH, "mechanisms", mechanisms, "WORD ...", 0, "What is offered: plain, login, scram-sha-256, external (client certificates). plain, login and scram-sha-256 when not given.") \
    \
    S(TABLE, "inline", inline, "NAME ...", 0, "The names.") \
    S(TABLE, "entry", entry, "KEY VALUE ...", KEY_REPEATS, "A key with its value, beside or instead of inline names.") \
    S(TABLE, "file", file, "PATH", 0, "A file; read when the configuration is, and again when it changes.") \
    C(TABLE, "format", "plain aliases postfix regex", format, "plain", "Of the file: a key and maybe a value a line; aliases(5); what postmap reads; /regular expressions/.") \
    \
    S(RULES, "allow", rule_allow, "client | helo | sender | recipient WHAT ...", KEY_REPEATS, "These are not asked by any rule behind this line. It lets nobody relay.") \
    S(RULES, "deny", rule_deny, "client | helo | sender | recipient WHAT ... answer CODE TEXT", KEY_REPEATS, "These are refused, with this answer or the usual one.") \
    S(RULES, "check", rule_check, "client | helo | sender | recipient TABLE", KEY_REPEATS, "A table whose values say what becomes of its keys: allow, deny TEXT, defer TEXT, CODE TEXT, or pass.") \
    S(RULES, "helo", rule_helo, "off | basic | fqdn | resolves", 0, "What the name in HELO must be; basic, when not given: neither ours nor a bare address.") \
    S(RULES, "reverse-name", rule_reverse, "off | any | confirmed", 0, "Whether a client's address must have a name, and the name the address; off when not given.") \
    S(RULES, "sender-domain", rule_sender_domain, "on | off", 0, "Whether a sender's domain must have a mail exchanger or an address; on when not given.") \
    S(RULES, "dnsbl", rule_dnsbl, "ZONE weight N answers FILTER of client | helo | sender", KEY_REPEATS, "A list in the DNS of those one does not want; adds its weight, 1 when not given, to the score of who is on it.") \
    S(RULES, "dnswl", rule_dnswl, "ZONE weight N answers FILTER of client | helo | sender", KEY_REPEATS, "A list in the DNS of good ones; takes its weight from the score.") \
    V(RULES, "refuse-score", COUNT, refuse_score, "1", 1, 100000, "From this score on a client is refused.") \
    V(RULES, "accept-score", COUNT, accept_score, "1", 1, 100000, "Who is so far below zero is known as good, and not greylisted.") \
    S(RULES, "greylist", rule_greylist, "on | off", 0, "Whether unknown clients are told to come back; off when not given.") \
    V(RULES, "trusted", SWITCH, trusted, "off", 0, 0, "These rules are for trusted clients too.") \
    \
    V(GREYLIST, "path", PATH, greylist.path, "/var/lib/mta/greylist", 0, 0, "The folder of the greylist.") \
    V(GREYLIST, "delay", TIME_S, greylist.delay_s, "1m", 1, 86400, "How long a first attempt must wait.") \
    V(GREYLIST, "window", TIME_S, greylist.window_s, "2d", 60, 30 * 86400, "How long the next attempt is waited for.") \
    V(GREYLIST, "keep", TIME_S, greylist.keep_s, "36d", 3600, 400 * 86400, "How long is remembered what passed; longer than a month, for monthly mail.") \
    V(GREYLIST, "clients", COUNT, greylist.clients, "5", 0, 1000, "Attempts that came back before the client's network waits no more; off: never.") \
    V(GREYLIST, "ipv4-bits", COUNT, greylist.ipv4_bits, "24", 8, 32, "The network that counts as one client.") \
    V(GREYLIST, "ipv6-bits", COUNT, greylist.ipv6_bits, "64", 16, 128, "The same of IPv6.") \
    \
    S(ALIASES, "file", alias_file, "PATH", 0, "A file of aliases(5), as newaliases(1) reads it; table aliases to mtactl.") \
    \
    V(SRS, "domain", HOST, srs.domain, "", 0, 0, "The domain of such senders; mail for them must come to this host.") \
    V(SRS, "secret", PATH, srs.secret, "", 0, 0, "A file with a secret a line, readable by root alone; the first one signs, the others are those before it.") \
    \
    S(MASQUERADE, "envelope-from", envelope_from, "PATTERN -> TARGET", KEY_REPEATS, "Envelope senders: PATTERN is user@domain, *@domain or *@*.domain, TARGET user@domain or *@domain, where * is the local part. The first that matches is applied.") \
    L(MASQUERADE, "header-from") \
    \
    V(QUEUE, "path", PATH, queue.path, "/var/lib/mta/queue", 0, 0, "The folder of the queue.") \
    V(QUEUE, "expire", TIME_S, queue.expire_s, "5d", 1, 365 * 86400, "Mail that could not be delivered for this long is returned to its sender.") \
    V(QUEUE, "delay-warning", TIME_S, queue.delay_warning_s, "4h", 0, 365 * 86400, "The sender is told once when mail is delayed for this long.") \
    S(QUEUE, "retry", retry, "TIME ...", 0, "Time between the tries; the last one repeats. 1m 5m 15m 30m, then growing by half up to retry-max, when not given.") \
    V(QUEUE, "retry-max", TIME_S, queue.retry_max_s, "4h", 1, 7 * 86400, "The longest time between two tries.") \
    V(QUEUE, "max-size", SIZE, queue.max_bytes, "off", 0, 1024 * CONFIG_TIB, "What the queue may take of the disk; new mail gets 452 beyond.") \
    V(QUEUE, "min-free", SIZE, queue.min_free_bytes, "64M", 4 * CONFIG_MIB, CONFIG_TIB, "New mail gets 452 when less of the disk is free; the index needs some of it to free the rest.") \
    V(QUEUE, "segment-size", SIZE, queue.segment_bytes, "64M", CONFIG_MIB, CONFIG_GIB, "Size of one segment of the commit log.") \
    V(QUEUE, "node", COUNT, queue.node, "0", 0, 1023, "Number of this host in message ids, where several hosts share mail.") \
    L(QUEUE, "bounce") \
    \
    V(LIMITS, "message-size", SIZE, limits.message_bytes, "50M", 1, CONFIG_TIB, "The largest message taken.") \
    V(LIMITS, "recipients", COUNT, limits.rcpts, "1000", 1, 100000, "Recipients of one message.") \
    V(LIMITS, "hops", COUNT, limits.hops, "100", 1, 1000, "Received fields before a message counts as looping.") \
    V(LIMITS, "line-octets", SIZE32, limits.line_bytes, "64K", 998, CONFIG_MIB, "The longest line of a message.") \
    V(LIMITS, "errors", COUNT, limits.errors, "20", 1, 100000, "Errors of a client before its connection is closed.") \
    V(LIMITS, "junk-commands", COUNT, limits.junk, "100", 1, 100000, "Commands without use (NOOP, RSET, ...) before they count as errors.") \
    V(LIMITS, "connections", COUNT, limits.connections, "10000", 1, 1000000, "Clients' connections at once.") \
    V(LIMITS, "connections-per-client", COUNT, limits.connections_client, "50", 1, 1000000, "The same from one address; trusted networks are exempt.") \
    V(LIMITS, "connections-per-prefix", COUNT, limits.connections_prefix, "200", 1, 1000000, "The same from one /24 (IPv4) or /64 (IPv6); trusted networks are exempt.") \
    V(LIMITS, "connection-rate-per-client", COUNT, limits.rates[RATE_CONNECTIONS][RATE_OF_CLIENT], "off", 0, 1000000, "New connections from one address in a minute; trusted networks are exempt.") \
    V(LIMITS, "connection-rate-per-prefix", COUNT, limits.rates[RATE_CONNECTIONS][RATE_OF_PREFIX], "off", 0, 1000000, "The same from one /24 (IPv4) or /64 (IPv6).") \
    V(LIMITS, "message-rate-per-client", COUNT, limits.rates[RATE_MESSAGES][RATE_OF_CLIENT], "off", 0, 1000000, "Messages from one address in a minute; trusted networks are exempt.") \
    V(LIMITS, "message-rate-per-prefix", COUNT, limits.rates[RATE_MESSAGES][RATE_OF_PREFIX], "off", 0, 1000000, "The same from one /24 (IPv4) or /64 (IPv6).") \
    V(LIMITS, "recipient-rate-per-client", COUNT, limits.rates[RATE_RECIPIENTS][RATE_OF_CLIENT], "off", 0, 1000000, "Recipients from one address in a minute; trusted networks are exempt.") \
    V(LIMITS, "recipient-rate-per-prefix", COUNT, limits.rates[RATE_RECIPIENTS][RATE_OF_PREFIX], "off", 0, 1000000, "The same from one /24 (IPv4) or /64 (IPv6).") \
    V(LIMITS, "error-rate-per-client", COUNT, limits.rates[RATE_ERRORS][RATE_OF_CLIENT], "off", 0, 1000000, "Errors from one address in a minute; trusted networks are exempt.") \
    V(LIMITS, "error-rate-per-prefix", COUNT, limits.rates[RATE_ERRORS][RATE_OF_PREFIX], "off", 0, 1000000, "The same from one /24 (IPv4) or /64 (IPv6).") \
    V(LIMITS, "count-trusted", SWITCH, limits.count_trusted, "off", 0, 0, "Limits by client and network are for trusted networks too.") \
    V(LIMITS, "data-rate", RATE, limits.data_rate, "100/s", 0, 1073741824, "The least octets a second of content, over a minute.") \
    V(LIMITS, "bounce-size", SIZE32, limits.bounce_bytes, "50K", 0, 16 * CONFIG_MIB, "A bounce that was asked to (RET=FULL) carries the whole message up to this size; any other carries its header.") \
    V(LIMITS, "login-messages", COUNT, limits.login_messages, "off", 0, 1000000, "Messages of one login within an hour; more get 450, and the log an alert.") \
    V(LIMITS, "login-recipients", COUNT, limits.login_rcpts, "off", 0, 10000000, "Recipients of one login within an hour, of all its messages together.") \
    V(LIMITS, "destination-connections", COUNT, limits.destination_connections, "20", 1, 10000, "Connections to one destination at once, where the route does not say.") \
    V(LIMITS, "connections-out", COUNT, limits.connections_out, "12000", 1, 1000000, "Connections to other hosts at once. Destinations that hold them for long get three quarters at most.") \
    \
    V(TIMEOUTS, "connect", TIME_MS, timeouts.connect, "30s", 100, CONFIG_HOUR, "Until a connection to a host is made.") \
    V(TIMEOUTS, "banner", TIME_MS, timeouts.banner, "5m", 100, CONFIG_HOUR, "Until its greeting.") \
    V(TIMEOUTS, "ehlo", TIME_MS, timeouts.ehlo, "5m", 100, CONFIG_HOUR, "Until its answer to EHLO or HELO.") \
    V(TIMEOUTS, "mail", TIME_MS, timeouts.mail, "5m", 100, CONFIG_HOUR, "Until its answer to MAIL.") \
    V(TIMEOUTS, "rcpt", TIME_MS, timeouts.rcpt, "5m", 100, CONFIG_HOUR, "Until its answer to RCPT.") \
    V(TIMEOUTS, "data", TIME_MS, timeouts.data, "2m", 100, CONFIG_HOUR, "Until its answer to DATA.") \
    V(TIMEOUTS, "data-block", TIME_MS, timeouts.data_block, "3m", 100, CONFIG_HOUR, "Until it takes the next block of content.") \
    V(TIMEOUTS, "data-end", TIME_MS, timeouts.data_end, "10m", 100, CONFIG_HOUR, "Until its answer to the final dot.") \
    V(TIMEOUTS, "rset", TIME_MS, timeouts.rset, "20s", 100, CONFIG_HOUR, "Until its answer to RSET.") \
    V(TIMEOUTS, "quit", TIME_MS, timeouts.quit, "10s", 100, CONFIG_HOUR, "Until its answer to QUIT.") \
    V(TIMEOUTS, "idle", TIME_MS, timeouts.idle, "5s", 100, CONFIG_HOUR, "How long a connection without work is kept for the next message.") \
    V(TIMEOUTS, "server-command", TIME_MS, timeouts.server_command, "5m", 100, CONFIG_HOUR, "Until a client's next command.") \
    V(TIMEOUTS, "server-stress", TIME_MS, timeouts.server_stress, "10s", 100, CONFIG_HOUR, "The same of strangers while three quarters of all connections are in use.") \
    V(TIMEOUTS, "server-data", TIME_MS, timeouts.server_data, "5m", 100, CONFIG_HOUR, "Until a client's next octets of content.") \
    V(TIMEOUTS, "drain", TIME_MS, timeouts.drain, "30s", 100, CONFIG_HOUR, "How long transactions in hand may go on when mtad stops.") \
    \
    V(WORKERS, "smtp", COUNT, workers.receivers, "2", 1, 16, "Processes that read from clients.") \
    V(WORKERS, "delivery", COUNT, workers.delivers, "2", 1, 16, "Processes that talk to other hosts.") \
    \
    V(RESOLVER, "stub", SERVER, resolver.stub, "", 0, 0, "Ask this trusted name server (IP or IP:PORT) instead of resolving from the root.") \
    V(RESOLVER, "trust-anchor", PATH, resolver.anchor, "", 0, 0, "A file with DS or DNSKEY records of the root, from which answers are validated (DNSSEC); the system's when not given. A stub's answers are validated only with it.") \
    V(RESOLVER, "timeout", TIME_MS, resolver.timeout_ms, "30s", 100, CONFIG_HOUR, "Until a look-up counts as failed for now.") \
    \
    S(CONNECT, "allow", allow, "PREFIX ...", 0, "Networks that MX targets may be in although they are loopback, reserved, or this host's.") \
    V(CONNECT, "ca-file", PATH, connect.ca_file, "/etc/ssl/certs/ca-certificates.crt", 0, 0, "Authorities whose certificates count for tls verify: a PEM file.") \
    V(CONNECT, "mx-port", PORT, connect.mx_port, "25", 1, 65535, "The port that MX targets are connected to.") \
    \
    V(MAILBOX, "user", USER, mailbox.user, "", 0, 0, "The user that Maildirs belong to; the process's own when not given.") \
    V(MAILBOX, "create", SWITCH, mailbox.create, "off", 0, 0, "Make a Maildir that is not there; off refuses its recipient.") \
    \
    V(CONTROL, "socket", PATH, control_socket, "", 0, 0, "Path of the socket; control.sock in run-dir when not given.") \
    \
    S(LOG, "stderr", log_stderr, "", 0, "Log to standard error; the default.") \
    S(LOG, "file", log_file, "PATH", 0, "Log to a file, opened again on SIGHUP.") \
    S(LOG, "syslog", log_syslog, "", 0, "Log to syslog.") \
    V(LOG, "ident", WORD, log.ident, "mta", 0, 0, "The program's name in log lines.") \
    C(LOG, "level", "fatal error warning info trace", log.level, "info", "What is logged: this level and graver ones.") \
    L(LOG, "journald") L(LOG, "json") L(LOG, "style") \
    \
    S(SANDBOX, "require", require, "all", 0, "Refuse to start when the kernel lacks a layer of the sandbox.") \
    C(SANDBOX, "engine", "auto io_uring epoll", sandbox.engine, "auto", "How sockets are served; auto is io_uring where it is allowed.")

#endif
