/*
 * messages - every message between processes, defined once.
 *
 * One field-list macro a message, one row a message. From these come structs, encoder, decoder, printer, direction check, size assertions,
 * fuzz seeds, docs/ipc.md. Nothing about a message is written twice.
 *
 * A field is F(kind, name, maximum) with kind u8 u16 u32 u64 i64 bytes id(message id) addr(address); maximum is in octets for bytes, and the
 * greatest legal value for integers (0 = any). `bytes` borrow from the receive buffer and die when the handler returns.
 * Verdict fields stand in one group macro, since a verdict crosses several channels.
 */
#ifndef MTA_IPC_MESSAGES_H
#define MTA_IPC_MESSAGES_H

#include "base/limits.h"
#include "mta/ipc/messages_receiver.h"

enum { IPC_VERSION = 1, IPC_HEADER_BYTES = 24 };
enum { IPC_ADDRESSES_BYTES_MAX = 50 * 19, IPC_ANSWER_BYTES_MAX = 48 * 1024, IPC_JSON_BYTES_MAX = 64 * 1024, IPC_SECRECY_BYTES_MAX = 2306 };
enum { IPC_PROBLEMS_BYTES_MAX = 32 * 1024, TABLE_KEY_BYTES_MAX = 512, TABLE_VALUE_BYTES_MAX = 4096, SRS_SECRETS_BYTES_MAX = 4096 };

/* A verdict (base/verdict.h), spread. */
#define IPC_VERDICT(F) \
    F(u8, class, 3)                               /* enum verdict_class */ \
    F(u8, scope, 3)                               /* enum verdict_scope */ \
    F(u8, step, 31)                               /* enum mail_step */ \
    F(u8, maybe_duplicate, 1)                     \
    F(u8, remote, 1)                              /* text is the remote's words */ \
    F(u16, code, 599)                             /* SMTP reply code, 0 = none */ \
    F(u8, enhanced_class, 5)                      \
    F(u16, enhanced_subject, 999)                 \
    F(u16, enhanced_detail, 999)                  \
    F(bytes, text, REPLY_TEXT_BYTES_MAX)

/* ---- every role and the master ---- */
#define IPC_READY_FIELDS(F) \
    F(u64, list_hash, 0)                          /* hash of this table: all processes come from one build */ \
    F(u32, layers, 0)                             /* LAYER_ bits that are on */ \
    F(u8, engine, 2)                              /* enum ring_engine; 0 = this role has no ring */
/* One end of a channel to another process, for a new peer or for one that was started again. */
#define IPC_PEER_FIELDS(F) \
    F(u8, role, 31)                               \
    F(u16, index, 0)                              \
    F(u32, epoch, 0)                              /* grows with every start of that place, over restarts of the master too; never reused */
/* What a role accuses a peer of, after it closed their channel. */
#define IPC_VIOLATION_FIELDS(F) \
    F(u8, role, 31)                               \
    F(u16, index, 0)                              \
    F(u32, epoch, 0)
#define IPC_PING_FIELDS(F) F(u64, number, 0)
#define IPC_PONG_FIELDS(F) F(u64, number, 0)
#define IPC_DRAIN_FIELDS(F) F(u64, within_ms, 0)  /* finish what is in hand within this, then DRAINED and end */
#define IPC_DRAINED_FIELDS(F) F(u32, unfinished, 0)
#define IPC_LOG_TO_FIELDS(F) F(u8, sink, 1)       /* enum log_sink; the descriptor takes the lines from now on */
#define IPC_DIED_FIELDS(F) \
    F(u8, role, 31)                               \
    F(u16, index, 0)                              \
    F(u32, epoch, 0)                              \
    F(u32, pid, 0)                                \
    F(u8, signal, 64)                             /* 0 = exited */ \
    F(u8, exit_code, 0)                           \
    F(u8, by_master, 2)                           /* 0 = it was not the master who killed it, 1 = it was, for hanging, 2 = for something else */
#define IPC_LISTENER_FIELDS(F) \
    F(u16, listener, 0)                           /* index in the configuration */ \
    F(addr, address, 0)
/* The listening socket of mtactl, for the control process. */
#define IPC_CONTROL_LISTENER_FIELDS(F) F(bytes, path, 4096)
#define IPC_ROLE_STATE_FIELDS(F) \
    F(u8, role, 31)                               \
    F(u16, index, 0)                              \
    F(u32, pid, 0)                                \
    F(u32, restarts, 0)                           \
    F(u8, state, 4)                               /* enum role_state, mta/process/process.h */ \
    F(u32, layers, 0)                             \
    F(u8, engine, 2)                              \
    F(i64, started_wall_us, 0)
/* The black box of a worker (architecture: how a worker's death is contained): `box` is written by the worker, `grants` by the manager. */
#define IPC_BOX_FIELDS(F) \
    F(u8, role, 31)                               \
    F(u16, index, 0)                              \
    F(u32, epoch, 0)                              \
    F(u8, grants, 1)                              /* 0 = the descriptor is the box, 1 = the grants */

/*
 * ---- TLS ----
 * Certificates and keys go as memory files: of each certificate, in the order of the configuration, a length of four octets (least first) and the PEM text
 * of its chain; in KEYS a length and the PEM text of its key behind that. The keyholder wipes what it has read.
 */
#define IPC_KEYS_FIELDS(F) \
    F(u64, generation, 0)                         /* of certificates and keys: grows with every reload */ \
    F(u32, count, 0)
#define IPC_KEYS_READ_FIELDS(F) \
    F(u64, generation, 0)                         \
    F(u8, good, 1)                                /* 0: none of them is used, those before go on */ \
    F(bytes, text, 500)                           /* what is wrong */
#define IPC_CERTIFICATES_FIELDS(F) \
    F(u64, generation, 0)                         \
    F(u32, count, 0)
#define IPC_SIGN_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u64, key, 0)                                /* first eight octets of the SHA-256 of the public key */ \
    F(u8, kind, 2)                                /* enum tls_key_kind: 1 RSA, octets are the padded block; 2 ECDSA, they are the digest */ \
    F(bytes, octets, 512)
#define IPC_SIGNATURE_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, good, 1)                                \
    F(bytes, octets, 512)
/* Secrets of which each receiver makes its listeners' ticket keys. */
#define IPC_TICKETS_FIELDS(F) \
    F(bytes, current, 32)                         \
    F(bytes, previous, 32)                        /* or empty */
/* The configuration again, with its tables as they are now; the descriptor is the image (mta/config/config.h). */
#define IPC_CONFIG_FIELDS(F) F(u64, generation, 0)
/* Somebody asks for what can be read again without a restart. */
#define IPC_RELOAD_FIELDS(F) F(u64, request, 0)
#define IPC_RELOADED_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, done, 1)                                /* 0: nothing has changed, and the problems say why */ \
    F(u64, generation, 0)                         /* that is in use now */ \
    F(bytes, problems, IPC_PROBLEMS_BYTES_MAX)    /* a line each, warnings too */

/* The file of srs { secret }, for the one process that signs. */
#define IPC_SRS_SECRETS_FIELDS(F) F(bytes, secrets, SRS_SECRETS_BYTES_MAX)

/* mtactl tls reload: certificates and keys are read again; all of them are used from then on, or none. */
#define IPC_TLS_RELOAD_FIELDS(F) F(u64, request, 0) /* not 0 */
#define IPC_TLS_RELOADED_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, good, 1)                                \
    F(bytes, text, 500)                           /* why not */

/* ---- receiving ---- */
#define IPC_CLIENT_FIELDS(F) \
    F(u64, connection, 0)                         /* never reused by this acceptor */ \
    F(u16, listener, 0)                           \
    F(u8, trusted, 1)                             /* the listener's trust names the client */ \
    F(u16, refuse_code, 599)                      /* 0 = serve; 421 = say so politely and close (limits) */ \
    F(addr, client, 0)                            /* of a user of this host who came by a Unix socket: base/net.h, net_of_user() */ \
    F(addr, local, 0)                             /* family 0 = a Unix socket */ \
    F(u32, uid, 0)                                /* of the user who came by a Unix socket, by the kernel's word; else 0 */ \
    F(bytes, refuse_text, 200)
#define IPC_CLIENT_CLOSED_FIELDS(F) \
    F(u64, connection, 0)                         \
    F(u8, well, 1)                                /* the client has said what it came for: QUIT, or it left between two transactions */ \
    F(u32, errors, 0)                             /* of its session */
/* What a receiver may not decide alone, since the limits are those of all receivers together. */
#define IPC_CLIENT_ASK_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u64, connection, 0)                         \
    F(u8, what, 3)                                /* enum client_ask, mta/ipc/asks.h: 1 a client behind a proxy comes in, 2 one more message, 3 one more recipient */ \
    F(addr, client, 0)                            /* of 1: who it is */
#define IPC_CLIENT_MAY_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u16, refuse_code, 599)                      /* 0 = it may */ \
    F(bytes, refuse_text, 200)
/* A client address that has killed a receiver, or may have: it goes to the receiver behind the others, one session at a time. */
#define IPC_CLIENT_APART_FIELDS(F) \
    F(addr, client, 0)                            /* of IPv6 its /64 */ \
    F(u64, apart_ms, 0)                           /* for so long from now at most; 0 = it is served like others again */ \
    F(u64, pause_ms, 0)                           /* and not at all for so long */
#define IPC_CLIENT_BEHAVED_FIELDS(F) F(addr, client, 0) /* a session of it alone has ended well */
/* Whose connections a dead receiver had, when its box does not say who killed it. */
#define IPC_CLIENTS_ASK_FIELDS(F) \
    F(u16, receiver, 0)                           \
    F(u32, epoch, 0)
#define IPC_CLIENT_LOST_FIELDS(F) \
    F(u16, receiver, 0)                           \
    F(u32, epoch, 0)                              \
    F(u8, last, 1)                                /* no more come, and this one names nobody */ \
    F(addr, client, 0)
#define IPC_BODY_OPEN_FIELDS(F) F(u64, transaction, 0)
#define IPC_BODY_FILE_FIELDS(F) \
    F(u64, transaction, 0)                        \
    F(u64, body, 0)                               /* body file id; the descriptor is writable until COMMIT */
#define IPC_BODY_REFUSED_FIELDS(F) \
    F(u64, transaction, 0)                        \
    F(u16, code, 599)                             \
    F(bytes, text, 200)
#define IPC_BODY_DROP_FIELDS(F) F(u64, body, 0)   /* the transaction ended without COMMIT: the file may go */
#define IPC_RCPTS_FIELDS(F) \
    F(u64, transaction, 0)                        \
    F(u32, first, RECIPIENTS_HARD_MAX)            /* index of the first entry */ \
    F(u32, count, RECIPIENTS_HARD_MAX)            \
    F(bytes, rcpts, RCPTS_RECORD_BYTES_MAX)       /* base/envelope.h */
#define IPC_COMMIT_FIELDS(F) \
    F(u64, transaction, 0)                        /* of this receiver and epoch: with them the origin; repeated after a manager's restart */ \
    F(u32, flags, 0)                              /* MAIL_ bits */ \
    F(u8, ret, 2)                                 \
    F(u16, listener, 0)                           \
    F(addr, client, 0)                            /* family 0 = a user of this host */ \
    F(u32, uid, 0)                                /* who that is */ \
    F(bytes, client_name, HOST_NAME_BYTES_MAX)    \
    F(bytes, helo, HOST_NAME_BYTES_MAX)           \
    F(bytes, sender, MAIL_ADDRESS_BYTES_MAX)      \
    F(bytes, envid, MAIL_ENVID_BYTES_MAX)         \
    F(bytes, message_id, MESSAGE_ID_BYTES_MAX)    /* header field, for the log */ \
    F(u8, mechanism, 4)                           /* enum smtp_sasl_mechanism by which the client was authenticated, or 0 */ \
    F(bytes, login, 255)                          /* as whom */ \
    F(u32, rcpt_count, RECIPIENTS_HARD_MAX)       /* all, those of RCPTS records too */ \
    F(bytes, rcpts, RCPTS_INLINE_BYTES_MAX)       /* the last part of the list, or all of it */ \
    F(bytes, prefix, PREFIX_BYTES_MAX)            /* Received and other fields put in front */ \
    F(u32, id_offset, PREFIX_BYTES_MAX)           /* where in prefix the 16 octets of the id go */ \
    F(u64, body, 0)                               /* body file id, 0 = inline */ \
    F(u64, body_bytes, 0)                         \
    F(u64, header_bytes, 0)                       /* of the body: up to and with the empty line */ \
    F(bytes, content, BODY_INLINE_BYTES_MAX)      /* the body when inline */
#define IPC_COMMITTED_FIELDS(F) \
    F(u64, transaction, 0)                        \
    F(id, message, 0)                             /* durable now */
#define IPC_REFUSED_FIELDS(F) \
    F(u64, transaction, 0)                        \
    F(u16, code, 599)                             /* 4yz, 5yz */ \
    F(u8, enhanced_class, 5)                      \
    F(u16, enhanced_subject, 999)                 \
    F(u16, enhanced_detail, 999)                  \
    F(bytes, text, 200)
#define IPC_STORAGE_FIELDS(F) \
    F(u8, accepting, 1)                           /* 0: answer MAIL with 452 4.3.1 */ \
    F(bytes, reason, 200)

/* ---- resolving ---- */
#define IPC_LOOKUP_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, kind, 2)                                /* enum lookup_kind: 1 MX then addresses, 2 addresses only */ \
    F(u8, family, 2)                              /* enum config_family */ \
    F(u16, dane_port, 0)                          /* 0 = no TLSA records are wanted */ \
    F(bytes, name, HOST_NAME_BYTES_MAX)
#define IPC_ANSWER_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, status, 7)                              /* enum answer_status: 1 found, 2 no such domain, 3 no data, 4 null MX, 5 temporary, 6 bogus, 7 loops to us */ \
    F(u8, implicit, 1)                            /* no MX: the name's own addresses */ \
    F(u8, secure, 1)                              /* DNSSEC */ \
    F(u32, ttl_s, 0)                              \
    F(bytes, hosts, IPC_ANSWER_BYTES_MAX)         /* list: mta/ipc/hosts.h; in order of preference, equal ones shuffled */ \
    F(bytes, text, 200)                           /* reason, for the log */

/* ---- connecting and delivering ---- */
#define IPC_CONNECT_FIELDS(F) \
    F(u64, connection, 0)                         /* manager's, never reused */ \
    F(u16, worker, 0)                             /* index and epoch of the deliver process that is to get the socket */ \
    F(u32, worker_epoch, 0)                       \
    F(u16, route, 0)                              /* for source addresses, family, port checks */ \
    F(u8, from_mx, 1)                             /* targets came from DNS MX: special and own addresses are refused unless allowed */ \
    F(u16, port, 0)                               \
    F(u64, deadline_ms, 0)                        /* for all addresses together, from now */ \
    F(bytes, host, HOST_NAME_BYTES_MAX)           /* name for the worker's texts */ \
    F(bytes, helo, HOST_NAME_BYTES_MAX)           \
    F(u8, helo_only, 1)                           /* last time the remote closed at EHLO: say HELO */ \
    F(u8, lmtp, 1)                                /* the route is one of LMTP */ \
    F(bytes, secrecy, IPC_SECRECY_BYTES_MAX)      /* how much TLS: mta/ipc/secrecy.h */ \
    F(bytes, addresses, IPC_ADDRESSES_BYTES_MAX)  /* 19 octets each: family, ip[16], port */
#define IPC_CONNECTED_FIELDS(F) \
    F(u64, connection, 0)                         \
    F(addr, remote, 0)                            \
    F(u32, took_us, 0)
#define IPC_FAILED_FIELDS(F) \
    F(u64, connection, 0)                         \
    F(u8, permanent, 1)                           /* policy forbids every address: no later try helps */ \
    F(u8, ours, 1)                                /* no fault of the host: it is not counted against it */ \
    F(addr, remote, 0)                            /* the last one tried */ \
    F(bytes, text, REPLY_TEXT_BYTES_MAX)          /* e.g. "connect to mx.example.com[192.0.2.1]:25: Connection refused" */
#define IPC_CONNECT_CANCEL_FIELDS(F) F(u64, connection, 0)
#define IPC_SOCKET_FIELDS(F) \
    F(u64, connection, 0)                         \
    F(addr, remote, 0)                            \
    F(u8, helo_only, 1)                           \
    F(u8, lmtp, 1)                                /* speak LMTP */ \
    F(bytes, secrecy, IPC_SECRECY_BYTES_MAX)      /* as in CONNECT */ \
    F(bytes, host, HOST_NAME_BYTES_MAX)           \
    F(bytes, helo, HOST_NAME_BYTES_MAX)
/* The connector cannot see the file system: the master connects to the Unix socket of a route, and to nothing else. */
#define IPC_UNIX_ASK_FIELDS(F) \
    F(u64, connection, 0)                         /* the manager's */ \
    F(u16, route, 0)                              /* whose lmtp names a Unix socket */
#define IPC_UNIX_MADE_FIELDS(F) \
    F(u64, connection, 0)                         \
    F(bytes, text, 200)                           /* why there is no descriptor */
#define IPC_ATTEMPT_RCPTS_FIELDS(F) \
    F(u64, attempt, 0)                            \
    F(u32, first, RECIPIENTS_HARD_MAX)            \
    F(u32, count, RECIPIENTS_HARD_MAX)            \
    F(bytes, rcpts, RCPTS_RECORD_BYTES_MAX)
#define IPC_ATTEMPT_FIELDS(F) \
    F(u64, attempt, 0)                            /* manager's, never reused */ \
    F(u64, connection, 0)                         /* the socket may come after this */ \
    F(id, message, 0)                             \
    F(u32, flags, 0)                              /* MAIL_ bits */ \
    F(u8, ret, 2)                                 \
    F(u8, probe, 1)                               /* no message: whether the recipients would be taken is all that is asked */ \
    F(bytes, sender, MAIL_ADDRESS_BYTES_MAX)      \
    F(bytes, envid, MAIL_ENVID_BYTES_MAX)         \
    F(u32, rcpt_count, RECIPIENTS_HARD_MAX)       \
    F(bytes, rcpts, RCPTS_INLINE_BYTES_MAX)       \
    F(bytes, prefix, PREFIX_BYTES_MAX)            \
    F(u64, body_skip, 0)                          /* octets of the file to leave out at its start */ \
    F(u64, body_bytes, 0)                         /* octets of body, inline or in the descriptor */ \
    F(bytes, content, BODY_INLINE_BYTES_MAX)      /* the body when no descriptor comes along */
#define IPC_RESULT_FIELDS(F) \
    F(u64, attempt, 0)                            \
    F(u32, first, RECIPIENTS_HARD_MAX)            /* recipients first..first+count of the attempt share this verdict; class 0: not tried, give it out again */ \
    F(u32, count, RECIPIENTS_HARD_MAX)            \
    F(u8, last, 1)                                /* nothing more comes for this attempt: the connection is idle, unless CLOSED follows */ \
    F(u32, connection_uses, 0)                    /* messages over this connection, this one included */ \
    F(u32, transfer_us, 0)                        \
    F(u32, greeting_us, 0)                        /* banner and EHLO, for the first message of a connection */ \
    F(u8, dsn_passed, 1)                          /* the next hop offered DSN: it takes over what NOTIFY asks */ \
    IPC_VERDICT(F)
#define IPC_CLOSED_FIELDS(F) \
    F(u64, connection, 0)                         \
    F(u8, helo_only_next, 1)                      /* the remote closed at EHLO: a new connection may try HELO */ \
    F(u8, clear_next, 1)                          /* TLS failed where it was not demanded: a new connection may do without */ \
    F(u8, reuse_off, 1)                           /* the remote said 421 after a message: do not reuse connections to it for now */ \
    IPC_VERDICT(F)                                /* class 0 = it ended well */
#define IPC_CLOSE_FIELDS(F) F(u64, connection, 0) /* say QUIT and close */

/* A whole answer to a final dot that stands in a dead worker's box without a verdict: read in the quarantine worker, whose death over it costs nobody else. */
#define IPC_REREAD_FIELDS(F) \
    F(u64, attempt, 0)                            /* manager's */ \
    F(bytes, octets, 2048)                        /* BOX_BYTES_MAX */
#define IPC_REREAD_DONE_FIELDS(F) \
    F(u64, attempt, 0)                            \
    F(u16, code, 599)                             /* 0 = they are no whole reply */

/* ---- into a mailbox ---- */
#define IPC_DELIVER_FIELDS(F) \
    F(u64, attempt, 0)                            \
    F(id, message, 0)                             \
    F(u16, route, 0)                              \
    F(u32, rcpt_index, RECIPIENTS_HARD_MAX)       /* makes the file name unique for ever */ \
    F(bytes, rcpt, MAIL_ADDRESS_BYTES_MAX)        \
    F(bytes, sender, MAIL_ADDRESS_BYTES_MAX)      \
    F(bytes, prefix, PREFIX_BYTES_MAX)            \
    F(u64, body_skip, 0)                          \
    F(u64, body_bytes, 0)                         \
    F(bytes, content, BODY_INLINE_BYTES_MAX)
/* A process that has become a user of this host. The master looks the name up itself; when it has started one, PEER says so. */
#define IPC_LOCAL_ASK_FIELDS(F) \
    F(u16, place, 16)                             /* index of the process to be */ \
    F(u16, route, 0)                              \
    F(bytes, user, LOCAL_USER_BYTES_MAX)
#define IPC_LOCAL_NO_FIELDS(F) \
    F(u16, place, 16)                             \
    F(u8, again, 1)                               /* the one before has not ended yet: ask again in a moment */ \
    F(bytes, text, 200)
#define IPC_LOCAL_USERS_FIELDS(F) F(u64, changed, 0) /* /etc/passwd, open for reading; when it was changed */
#define IPC_LOCAL_END_FIELDS(F) F(u8, zero, 1)    /* no more comes: end */
#define IPC_DELIVERED_FIELDS(F) \
    F(u64, attempt, 0)                            \
    F(u32, transfer_us, 0)                        \
    IPC_VERDICT(F)

/* ---- tables that may take their time ---- */
#define IPC_TABLE_LOOKUP_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u16, table, 0)                              /* its place in config.tables */ \
    F(bytes, key, TABLE_KEY_BYTES_MAX)
#define IPC_TABLE_FOUND_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, status, 2)                              /* enum lookup_status: 0 not there, 1 there, 2 cannot be told now */ \
    F(u32, line, 0)                               /* of its file, for people; 0 = unknown */ \
    F(bytes, value, TABLE_VALUE_BYTES_MAX)

/* ---- operating ---- */
#define IPC_ADMIN_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, verb, 63)                               /* enum admin_verb, mta/ipc/admin.h */ \
    F(u32, uid, 0)                                \
    F(u8, dry_run, 1)                             /* count only */ \
    F(id, message, 0)                             /* filter: --id; 0 = none */ \
    F(u8, state, 7)                               /* filter: enum admin_state; 0 = any */ \
    F(i64, older_s, 0)                            /* filter: age at least */ \
    F(u64, larger_bytes, 0)                       /* filter */ \
    F(u64, limit, 0)                              /* filter: at most so many messages; 0 = all */ \
    F(i64, at_wall_s, 0)                          /* retry-at */ \
    F(u64, number, 0)                             /* of a crash record; 0 = all */ \
    F(u64, cursor, 0)                             /* list: continue behind this id (slices) */ \
    F(u64, until, 0)                              /* with a cursor: what ADMIN_END said of the slice before */ \
    F(bytes, to, MAIL_ADDRESS_BYTES_MAX)          /* filters: whole address or "*@domain" */ \
    F(bytes, from, MAIL_ADDRESS_BYTES_MAX)        \
    F(bytes, domain, HOST_NAME_BYTES_MAX)         \
    F(bytes, site, HOST_NAME_BYTES_MAX)           /* filter, and the object of site verbs */ \
    F(bytes, route, 64)                           \
    F(bytes, client, 64)                          /* prefix text */ \
    F(bytes, reason, 256)                         /* substring of the last reason; text for hold, suspend, bounce */
#define IPC_ADMIN_ROW_FIELDS(F) \
    F(u64, request, 0)                            \
    F(bytes, json, IPC_JSON_BYTES_MAX)            /* one object; built by the manager with buf_put_json */
#define IPC_ADMIN_END_FIELDS(F) \
    F(u64, request, 0)                            \
    F(u8, status, 5)                              /* exit code of mtactl */ \
    F(u64, messages, 0)                           \
    F(u64, recipients, 0)                         \
    F(u64, octets, 0)                             /* sum of the messages' sizes */ \
    F(u64, left, 0)                               /* messages that were meant, but could not be changed now */ \
    F(u64, cursor, 0)                             /* 0 = the listing is complete */ \
    F(u64, until, 0)                              /* ids above came after the request, and are not meant by it */ \
    F(bytes, text, 512)

/*    id  NAME            name            from       to         fd  fields            fd: 0 never, 1 always, 2 may */
#define IPC_MESSAGES(M) \
    M(1,  READY,          ready,          ANY,       MASTER,    0, IPC_READY_FIELDS) \
    M(2,  PEER,           peer,           MASTER,    ANY,       1, IPC_PEER_FIELDS) \
    M(3,  PING,           ping,           MASTER,    ANY,       0, IPC_PING_FIELDS) \
    M(4,  PONG,           pong,           ANY,       MASTER,    0, IPC_PONG_FIELDS) \
    M(5,  DRAIN,          drain,          MASTER,    ANY,       0, IPC_DRAIN_FIELDS) \
    M(6,  DRAINED,        drained,        ANY,       MASTER,    0, IPC_DRAINED_FIELDS) \
    M(7,  LOG_TO,         log_to,         MASTER,    ANY,       1, IPC_LOG_TO_FIELDS) \
    M(8,  DIED,           died,           MASTER,    ANY,       0, IPC_DIED_FIELDS) \
    M(9,  LISTENER,       listener,       MASTER,    ACCEPTOR,  1, IPC_LISTENER_FIELDS) \
    M(10, ROLE_STATE,     role_state,     MASTER,    CONTROL,   0, IPC_ROLE_STATE_FIELDS) \
    M(11, BOX,            box,            MASTER,    ANY,       1, IPC_BOX_FIELDS) \
    M(12, CONTROL_LISTENER,control_listener,MASTER,  CONTROL,   1, IPC_CONTROL_LISTENER_FIELDS) \
    M(13, VIOLATION,      violation,      ANY,       MASTER,    0, IPC_VIOLATION_FIELDS) \
    M(14, KEYS,           keys,           MASTER,    KEYHOLDER, 1, IPC_KEYS_FIELDS) \
    M(15, KEYS_READ,      keys_read,      KEYHOLDER, MASTER,    0, IPC_KEYS_READ_FIELDS) \
    M(16, CERTIFICATES,   certificates,   MASTER,    RECEIVER,  1, IPC_CERTIFICATES_FIELDS) \
    M(110, CONFIG,       config,         MASTER,    ANY,       1, IPC_CONFIG_FIELDS) \
    M(111, RELOAD,       reload,         CONTROL,   MASTER,    0, IPC_RELOAD_FIELDS) \
    M(112, RELOADED,      reloaded,       MASTER,    CONTROL,   0, IPC_RELOADED_FIELDS) \
    M(113, SRS_SECRETS,   srs_secrets,    MASTER,    MANAGER,   0, IPC_SRS_SECRETS_FIELDS) \
    M(17, TLS_RELOAD,     tls_reload,     CONTROL,   MASTER,    0, IPC_TLS_RELOAD_FIELDS) \
    M(18, TLS_RELOADED,   tls_reloaded,   MASTER,    CONTROL,   0, IPC_TLS_RELOADED_FIELDS) \
    M(20, CLIENT,         client,         ACCEPTOR,  RECEIVER,  1, IPC_CLIENT_FIELDS) \
    M(21, CLIENT_CLOSED,  client_closed,  RECEIVER,  ACCEPTOR,  0, IPC_CLIENT_CLOSED_FIELDS) \
    M(22, CLIENT_NAME,    client_name,    RECEIVER,  RESOLVER,  0, IPC_CLIENT_NAME_FIELDS) \
    M(23, CLIENT_NAMED,   client_named,   RESOLVER,  RECEIVER,  0, IPC_CLIENT_NAMED_FIELDS) \
    M(24, MAILBOX_CHECK,  mailbox_check,  RECEIVER,  MAILBOX,   0, IPC_MAILBOX_CHECK_FIELDS) \
    M(25, MAILBOX_CHECKED,mailbox_checked,MAILBOX,   RECEIVER,  0, IPC_MAILBOX_CHECKED_FIELDS) \
    M(26, BODY_OPEN,      body_open,      RECEIVER,  MANAGER,   0, IPC_BODY_OPEN_FIELDS) \
    M(27, BODY_FILE,      body_file,      MANAGER,   RECEIVER,  1, IPC_BODY_FILE_FIELDS) \
    M(28, BODY_REFUSED,   body_refused,   MANAGER,   RECEIVER,  0, IPC_BODY_REFUSED_FIELDS) \
    M(29, BODY_DROP,      body_drop,      RECEIVER,  MANAGER,   0, IPC_BODY_DROP_FIELDS) \
    M(30, RCPTS,          rcpts,          RECEIVER,  MANAGER,   0, IPC_RCPTS_FIELDS) \
    M(31, COMMIT,         commit,         RECEIVER,  MANAGER,   0, IPC_COMMIT_FIELDS) \
    M(32, COMMITTED,      committed,      MANAGER,   RECEIVER,  0, IPC_COMMITTED_FIELDS) \
    M(33, REFUSED,        refused,        MANAGER,   RECEIVER,  0, IPC_REFUSED_FIELDS) \
    M(34, STORAGE,        storage,        MANAGER,   RECEIVER,  0, IPC_STORAGE_FIELDS) \
    M(35, CLIENT_APART,   client_apart,   MANAGER,   ACCEPTOR,  0, IPC_CLIENT_APART_FIELDS) \
    M(36, CLIENT_BEHAVED, client_behaved, ACCEPTOR,  MANAGER,   0, IPC_CLIENT_BEHAVED_FIELDS) \
    M(37, CLIENTS_ASK,    clients_ask,    MANAGER,   ACCEPTOR,  0, IPC_CLIENTS_ASK_FIELDS) \
    M(38, CLIENT_LOST,    client_lost,    ACCEPTOR,  MANAGER,   0, IPC_CLIENT_LOST_FIELDS) \
    M(100, CLIENT_ASK,    client_ask,     RECEIVER,  ACCEPTOR,  0, IPC_CLIENT_ASK_FIELDS) \
    M(101, CLIENT_MAY,    client_may,     ACCEPTOR,  RECEIVER,  0, IPC_CLIENT_MAY_FIELDS) \
    M(102, NAME_ASK,      name_ask,       RECEIVER,  RESOLVER,  0, IPC_NAME_ASK_FIELDS) \
    M(103, NAME_SAID,     name_said,      RESOLVER,  RECEIVER,  0, IPC_NAME_SAID_FIELDS) \
    M(104, EXPLAIN,       explain,        CONTROL,   RECEIVER,  0, IPC_EXPLAIN_FIELDS) \
    M(105, EXPLAINED,     explained,      RECEIVER,  CONTROL,   0, IPC_EXPLAINED_FIELDS) \
    M(106, GREY_ASK,      grey_ask,       RECEIVER,  GREYLIST,  0, IPC_GREY_ASK_FIELDS) \
    M(107, GREY_SAID,     grey_said,      GREYLIST,  RECEIVER,  0, IPC_GREY_SAID_FIELDS) \
    M(40, LOOKUP,         lookup,         MANAGER,   RESOLVER,  0, IPC_LOOKUP_FIELDS) \
    M(41, ANSWER,         answer,         RESOLVER,  MANAGER,   0, IPC_ANSWER_FIELDS) \
    M(46, RCPT_CHECK,     rcpt_check,     RECEIVER,  MANAGER,   0, IPC_MAILBOX_CHECK_FIELDS) \
    M(47, RCPT_CHECKED,   rcpt_checked,   MANAGER,   RECEIVER,  0, IPC_MAILBOX_CHECKED_FIELDS) \
    M(50, CONNECT,        connect,        MANAGER,   CONNECTOR, 0, IPC_CONNECT_FIELDS) \
    M(51, CONNECTED,      connected,      CONNECTOR, MANAGER,   0, IPC_CONNECTED_FIELDS) \
    M(52, FAILED,         failed,         CONNECTOR, MANAGER,   0, IPC_FAILED_FIELDS) \
    M(53, CONNECT_CANCEL, connect_cancel, MANAGER,   CONNECTOR, 0, IPC_CONNECT_CANCEL_FIELDS) \
    M(54, SOCKET,         socket,         CONNECTOR, DELIVER,   1, IPC_SOCKET_FIELDS) \
    M(55, UNIX_ASK,       unix_ask,       CONNECTOR, MASTER,    0, IPC_UNIX_ASK_FIELDS) \
    M(56, UNIX_MADE,      unix_made,      MASTER,    CONNECTOR, 2, IPC_UNIX_MADE_FIELDS) \
    M(60, ATTEMPT_RCPTS,  attempt_rcpts,  MANAGER,   DELIVER,   0, IPC_ATTEMPT_RCPTS_FIELDS) \
    M(61, ATTEMPT,        attempt,        MANAGER,   DELIVER,   2, IPC_ATTEMPT_FIELDS) \
    M(62, RESULT,         result,         DELIVER,   MANAGER,   0, IPC_RESULT_FIELDS) \
    M(63, CLOSED,         closed,         DELIVER,   MANAGER,   0, IPC_CLOSED_FIELDS) \
    M(64, CLOSE,          close,          MANAGER,   DELIVER,   0, IPC_CLOSE_FIELDS) \
    M(65, REREAD,         reread,         MANAGER,   DELIVER,   0, IPC_REREAD_FIELDS) \
    M(66, REREAD_DONE,    reread_done,    DELIVER,   MANAGER,   0, IPC_REREAD_DONE_FIELDS) \
    M(70, DELIVER,        deliver,        MANAGER,   MAILBOX,   2, IPC_DELIVER_FIELDS) \
    M(71, DELIVERED,      delivered,      MAILBOX,   MANAGER,   0, IPC_DELIVERED_FIELDS) \
    M(72, LOCAL_ASK,      local_ask,      MAILBOX,   MASTER,    0, IPC_LOCAL_ASK_FIELDS) \
    M(73, LOCAL_NO,       local_no,       MASTER,    MAILBOX,   0, IPC_LOCAL_NO_FIELDS) \
    M(74, LOCAL_USERS,    local_users,    MASTER,    MAILBOX,   1, IPC_LOCAL_USERS_FIELDS) \
    M(75, SIGN,           sign,           RECEIVER,  KEYHOLDER, 0, IPC_SIGN_FIELDS) \
    M(76, SIGNATURE,      signature,      KEYHOLDER, RECEIVER,  0, IPC_SIGNATURE_FIELDS) \
    M(77, TICKETS,        tickets,        KEYHOLDER, RECEIVER,  0, IPC_TICKETS_FIELDS) \
    M(90, AUTH_FILE,      auth_file,      MASTER,    AUTHD,     1, IPC_AUTH_FILE_FIELDS) \
    M(91, AUTH_CONNECT,   auth_connect,   AUTHD,     MASTER,    0, IPC_AUTH_CONNECT_FIELDS) \
    M(92, AUTH_SOCKET,    auth_socket,    MASTER,    AUTHD,     2, IPC_AUTH_SOCKET_FIELDS) \
    M(93, AUTH_BEGIN,     auth_begin,     RECEIVER,  AUTHD,     0, IPC_AUTH_BEGIN_FIELDS) \
    M(94, AUTH_LINE,      auth_line,      RECEIVER,  AUTHD,     0, IPC_AUTH_LINE_FIELDS) \
    M(95, AUTH_RESULT,    auth_result,    AUTHD,     RECEIVER,  0, IPC_AUTH_RESULT_FIELDS) \
    M(96, LOGIN_SPEND,    login_spend,    RECEIVER,  AUTHD,     0, IPC_LOGIN_SPEND_FIELDS) \
    M(97, LOGIN_SPENT,    login_spent,    AUTHD,     RECEIVER,  0, IPC_LOGIN_SPENT_FIELDS) \
    M(80, ADMIN,          admin,          CONTROL,   MANAGER,   0, IPC_ADMIN_FIELDS) \
    M(81, ADMIN_ROW,      admin_row,      MANAGER,   CONTROL,   0, IPC_ADMIN_ROW_FIELDS) \
    M(82, ADMIN_END,      admin_end,      MANAGER,   CONTROL,   0, IPC_ADMIN_END_FIELDS) \
    M(114, TABLE_LOOKUP,  table_lookup,   CONTROL,   TABLES,    0, IPC_TABLE_LOOKUP_FIELDS) \
    M(115, TABLE_FOUND,   table_found,    TABLES,    CONTROL,   0, IPC_TABLE_FOUND_FIELDS) \
    M(116, LOCAL_DELIVER,  local_deliver,  MAILBOX,   LOCAL,     2, IPC_DELIVER_FIELDS) \
    M(117, LOCAL_DELIVERED,local_delivered,LOCAL,     MAILBOX,   0, IPC_DELIVERED_FIELDS) \
    M(118, LOCAL_END,      local_end,      MAILBOX,   LOCAL,     0, IPC_LOCAL_END_FIELDS)

#endif
