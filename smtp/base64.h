/*
 * base64 - the coding of RFC 4648 section 4, as AUTH and SCRAM use it.
 *
 * Strict: the standard alphabet, whole groups of four, padding where it belongs and nowhere else, no bits left over, no line ends or
 * spaces. So each run of octets has one coded form, and what decodes is what would be encoded. Both directions work on the whole text
 * or not at all; the room they need is computed here, never by the caller.
 */
#ifndef SMTP_BASE64_H
#define SMTP_BASE64_H

#include "base/bytes.h"

/* SMTP_BASE64_BYTES - coded length of n octets, as a constant expression for sizes of memory; n below 3 GiB. */
#define SMTP_BASE64_BYTES(n) (((n) + 2) / 3 * 4)

/*
 * smtp_base64_encode - append `in` coded.
 * Errors   out->overflow: then nothing was written
 */
void smtp_base64_encode(struct buf *out, struct bytes in);

/*
 * smtp_base64_decode - append what `in` codes for; empty is the code of nothing.
 * Returns  false when it is not the code of anything, or when the result does not fit (then out->overflow too); nothing was written
 * Cost     O(n)
 */
bool smtp_base64_decode(struct bytes in, struct buf *out);

#endif
