/*
 * rewrite - rules that make one address of another: canonical names, masquerading, sub-addresses.
 *
 * A rule is a pattern and a target. Pattern: `user@domain`, `*@domain`, `*@*.domain` (any name under it, not itself), `user@*.domain`.
 * Target: `user@domain`, or `*@domain`, where the star is the local part that the pattern's star met. Compared without case in both parts,
 * as mail servers do, although RFC 5321 2.4 lets local parts differ by case.
 */
#ifndef SMTP_REWRITE_H
#define SMTP_REWRITE_H

#include "smtp/address.h"

struct smtp_rewrite { /* slices of the configuration's text, which must outlive it */
    struct bytes from_local; /* canonical; empty = any */
    struct bytes from_domain;
    bool subdomains;         /* from_domain is what they end in, with its dot */
    struct bytes to_local;   /* empty = as it was */
    struct bytes to_domain;
};

/* smtp_rewrite_parse - false when pattern or target is none; quoted local parts are not for rules. */
bool smtp_rewrite_parse(struct bytes pattern, struct bytes target, struct smtp_rewrite *out);

enum smtp_rewrite_result { SMTP_REWRITE_NO = 0, SMTP_REWRITE_DONE, SMTP_REWRITE_TOO_LONG };

/* smtp_rewrite_apply - NO leaves *out alone; on DONE it has the new address. `in` and `out` are different. */
enum smtp_rewrite_result smtp_rewrite_apply(const struct smtp_rewrite *rule, const struct smtp_address *in, struct smtp_address *out);

/*
 * smtp_detail_split - the parts of "user+detail".
 * In       local       of a canonical address; delimiters: each octet is one, the first met counts
 * Out      *user       what stands before it, at least one octet; *detail behind it, maybe empty
 * Returns  false when there is none, for a quoted local part, and for names that mail needs as they are: postmaster, mailer-daemon,
 *          owner-x and x-request when '-' is the delimiter (mailing lists)
 */
bool smtp_detail_split(struct bytes local, struct bytes delimiters, struct bytes *user, struct bytes *detail);

#endif
