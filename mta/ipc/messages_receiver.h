/*
 * messages_receiver - the fields of what receivers ask of others about a client: a part of messages.h, which explains them and has their rows.
 */
#ifndef MTA_IPC_MESSAGES_RECEIVER_H
#define MTA_IPC_MESSAGES_RECEIVER_H

/* ---- who the client is, and whether a mailbox exists ---- */
#define IPC_CLIENT_NAME_FIELDS(F) \
    F(u64, request, 0)                            \
    F(addr, client, 0)
#define IPC_CLIENT_NAMED_FIELDS(F) \
    F(u64, request, 0)                            \
    F(bytes, name, HOST_NAME_BYTES_MAX)           /* forward-confirmed, or empty: "unknown" */ \
    F(u8, why, 3)                                 /* enum naming_result, mta/ipc/hosts.h: why it is unknown */
#define IPC_MAILBOX_CHECK_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u16, route, 0)                              \
    F(bytes, rcpt, MAIL_ADDRESS_BYTES_MAX)
#define IPC_MAILBOX_CHECKED_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, known, 2)                               /* 0 no such mailbox, 1 exists or will be made, 2 cannot tell now */

/* ---- authenticating ---- */
/* A password file as it is now, open for reading: given when the auth process is started, and again when the file has changed. */
#define IPC_AUTH_FILE_FIELDS(F) F(u16, block, 0)  /* index in the configuration */
#define IPC_AUTH_CONNECT_FIELDS(F) F(u16, block, 0) /* connect to Dovecot */
#define IPC_AUTH_SOCKET_FIELDS(F) \
    F(u16, block, 0)                              \
    F(bytes, text, 200)                           /* without a descriptor: why not */
#define IPC_AUTH_BEGIN_FIELDS(F) \
    F(u64, request, 0)                            /* names the exchange from here on */ \
    F(u16, listener, 0)                           \
    F(u8, mechanism, 4)                           /* enum smtp_sasl_mechanism, those of a server */ \
    F(u8, has_initial, 1)                         \
    F(addr, client, 0)                            \
    F(addr, local, 0)                             \
    F(bytes, certificate_user, 255)               /* whom the client's verified certificate names, or empty */ \
    F(bytes, initial, 4096)                       /* base64 as it came, not judged */
#define IPC_AUTH_LINE_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, cancel, 1)                              /* no answer: the client gave up, or is gone */ \
    F(bytes, text, 4096)                          /* base64 as it came */
#define IPC_AUTH_RESULT_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, result, 6)                              /* enum smtp_auth_result; all but a challenge end the exchange */ \
    F(bytes, challenge, 3072)                     /* base64 */ \
    F(bytes, login, LOGIN_BYTES_MAX)                       /* who it is, when done */
/* What a login is about to send: counted, if it may. */
#define IPC_LOGIN_SPEND_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u32, messages, 1)                           \
    F(u32, rcpts, 1)                              \
    F(bytes, login, LOGIN_BYTES_MAX)
#define IPC_LOGIN_SPENT_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, allowed, 1)                             \
    F(u32, wait_s, 0)                             /* if not: try again then, about */

/* ---- judging strangers ---- */
/* What rules need of the DNS: a mail domain (LOOKUP_MX), a host, or a list's answer (LOOKUP_ADDRESS). */
#define IPC_NAME_ASK_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, kind, 2)                                /* enum lookup_kind */ \
    F(u8, family, 2)                              /* enum config_family, of LOOKUP_ADDRESS */ \
    F(bytes, name, HOST_NAME_BYTES_MAX)
#define IPC_NAME_SAID_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, status, 7)                              /* enum answer_status */ \
    F(bytes, addresses, IPC_ADDRESSES_BYTES_MAX)  /* of LOOKUP_ADDRESS: 19 octets each, as in CONNECT */

/* Greylisting: one attempt. */
#define IPC_GREY_ASK_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, peek, 1)                                /* nothing is remembered */ \
    F(addr, client, 0)                            \
    F(bytes, sender, MAIL_ADDRESS_BYTES_MAX)      \
    F(bytes, rcpt, MAIL_ADDRESS_BYTES_MAX)
#define IPC_GREY_SAID_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, pass, 1)                                \
    F(u8, known_client, 1)                        /* its network has proved good */ \
    F(u32, wait_s, 0)                             /* when it does not pass: until it may come back */

/* `mtactl explain`: what would become of this recipient. One row for each rule that was asked, in their order. */
#define IPC_EXPLAIN_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u16, listener, 0)                           \
    F(addr, client, 0)                            /* family 0 = nobody in particular */ \
    F(bytes, login, LOGIN_BYTES_MAX)                       /* who has logged in; empty = nobody */ \
    F(bytes, helo, HOST_NAME_BYTES_MAX)           \
    F(bytes, sender, MAIL_ADDRESS_BYTES_MAX)      \
    F(bytes, rcpt, MAIL_ADDRESS_BYTES_MAX)
#define IPC_EXPLAINED_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, last, 2)                                /* 1 = it would be taken, 2 = it would not */ \
    F(bytes, rule, 64)                            \
    F(bytes, verdict, 64)                         \
    F(bytes, words, 700)                          \
    F(bytes, place, 600)                          /* FILE:LINE of the configuration, or empty */

#endif
