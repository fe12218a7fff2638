/*
 * limits - every bound that more than one layer shares, with its reason. Bounds of a single module stand in that module.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include <assert.h>

enum {
    /* RFC 5321 4.5.3.1: local part 64, domain 255, path 256. SMTPUTF8 mail uses more octets; 320 = 64 + "@" + 255 is the classical bound. */
    MAIL_LOCAL_BYTES_MAX = 64,
    MAIL_DOMAIN_BYTES_MAX = 255,
    MAIL_ADDRESS_BYTES_MAX = 320,
    /* RFC 3461 4.4: an envelope id is at most 100 octets; ORCPT is "rfc822;" or "utf-8;" + an xtext address of 500. */
    MAIL_ENVID_BYTES_MAX = 100,
    MAIL_ORCPT_BYTES_MAX = 500,
    /* A user of this host, as useradd(8) takes it. */
    LOCAL_USER_BYTES_MAX = 32,
    /* A host name (RFC 1035 2.3.4) as text. */
    HOST_NAME_BYTES_MAX = 255,
    /* A login (RFC 4616 2). */
    LOGIN_BYTES_MAX = 255,
    /* What is kept of a reply's text, over all lines; the rest is counted, not stored. */
    REPLY_TEXT_BYTES_MAX = 1024,
    /* Message-ID as kept for the log; longer ones are cut there only. */
    MESSAGE_ID_BYTES_MAX = 250,
    /* Header fields that we put in front of a message: Received with a 255-octet name and HELO, and room for others. */
    PREFIX_BYTES_MAX = 4096,
    /* Bodies up to this size travel and are stored inside records; larger ones are files. */
    BODY_INLINE_BYTES_MAX = 64 * 1024,
    /* A recipient list in one record; longer lists travel as several. */
    RCPTS_RECORD_BYTES_MAX = 32 * 1024,
    RCPTS_INLINE_BYTES_MAX = 20 * 1024,
    /* One record between processes. The default socket buffer takes 212,960 octets, so two always fit. */
    IPC_RECORD_BYTES_MAX = 96 * 1024,
    /* Recipients of one message that we ever take, whatever the configuration says. */
    RECIPIENTS_HARD_MAX = 100000,
};

static_assert((int)BODY_INLINE_BYTES_MAX + (int)RCPTS_INLINE_BYTES_MAX + (int)PREFIX_BYTES_MAX + 4096 <= (int)IPC_RECORD_BYTES_MAX,
              "a small message with a small recipient list must fit one record");

/* TLS: PEM files of certificates and keys, which the master reads whole; and how many of all tls blocks there may be. */
enum { TLS_CHAIN_BYTES_MAX = 64 * 1024, TLS_KEY_BYTES_MAX = 16 * 1024, TLS_CERTIFICATES_ALL_MAX = 512 };

#endif
