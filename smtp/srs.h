/*
 * srs - the Sender Rewriting Scheme: forwarded mail gets a sender at our domain, from which a bounce finds back.
 *
 * The text form is that of Mail::SRS and libsrs2 ("guarded" scheme): SRS0=hash=stamp=host=user@ours for a first forwarder, and
 * SRS1=hash=host=rest@ours when the sender is an SRS address of somebody else, so that addresses do not grow with each hop. The hash is
 * the start of a MAC, in standard base64; relays on the way may change the case of letters, so it is made over lower case and compared
 * without case. (libsrs2's own alphabet has m and n swapped; what it signed is recognised only where neither occurs.) The MAC is handed in.
 */
#ifndef SMTP_SRS_H
#define SMTP_SRS_H

#include "smtp/address.h"

enum {
    SMTP_SRS_MAC_BYTES = 20,      /* HMAC-SHA-1, for the sake of others that read our secrets; a longer MAC may be cut to this */
    SMTP_SRS_HASH_CHARS_MIN = 4,  /* 23 bits without case: enough against guessing at the price of one connection a guess */
    SMTP_SRS_HASH_CHARS_MAX = 26, /* what the MAC has */
    SMTP_SRS_AGE_DAYS = 21,       /* bounces come within a queue's life of 5 days; twice that, and holidays */
    SMTP_SRS_STAMP_DAYS = 1024,   /* after so many the two characters of the stamp begin again */
};

struct smtp_srs { /* the site's; shared, never written here */
    /* MAC of `in` under secret number n; false when it could not be made. */
    bool (*mac)(const void *context, uint32_t n, struct bytes in, uint8_t out[SMTP_SRS_MAC_BYTES]);
    const void *context;
    uint32_t secret_count; /* at least 1; number 0 signs, all are recognised, so that secrets can be changed */
    struct bytes domain;   /* ours, where bounces come back to */
    uint32_t hash_chars;   /* of what we sign: SMTP_SRS_HASH_CHARS_MIN .. MAX; shorter ones are not recognised */
    uint32_t age_days;     /* how long a bounce may come: 1 .. SMTP_SRS_STAMP_DAYS / 2 */
};

enum smtp_srs_result {
    SMTP_SRS_LEAVE = 0, /* nothing to do: forward: no sender, or at our domain already; reverse: no SRS address */
    SMTP_SRS_DONE,      /* the new address is in *out */
    SMTP_SRS_BAD,       /* it begins as one, and is none */
    SMTP_SRS_FORGED,    /* its hash is not ours: somebody made it up */
    SMTP_SRS_EXPIRED,
    SMTP_SRS_TOO_LONG,  /* would be longer than an address may be */
    SMTP_SRS_FAILED,    /* the MAC could not be made */
};

/*
 * smtp_srs_forward - the envelope sender of a message that goes on from here.
 * In       sender   canonical (smtp/address.h); wall_s: its day is stamped
 * Out      *out     on DONE; untouched by LEAVE
 */
enum smtp_srs_result smtp_srs_forward(const struct smtp_srs *srs, const struct smtp_address *sender, int64_t wall_s, struct smtp_address *out);

/*
 * smtp_srs_reverse - where a bounce to an address at srs->domain goes. That domain is the caller's to check.
 * Out      *out     on DONE: the sender that was rewritten; for SRS1 the SRS0 address of the forwarder before us
 */
enum smtp_srs_result smtp_srs_reverse(const struct smtp_srs *srs, const struct smtp_address *recipient, int64_t wall_s, struct smtp_address *out);

#endif
