/*
 * sha1 - SHA-1 and HMAC-SHA-1, for what has to be understood by others who use it (SRS): never for anything new.
 */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include "base/bytes.h"

enum { SHA1_BYTES = 20 };

/* sha1 - of `in`. Source: RFC 3174. Cost: O(n). */
void sha1(struct bytes in, uint8_t out[SHA1_BYTES]);

/* hmac_sha1 - of `in` under a key. Source: RFC 2104. Cost: O(n). */
void hmac_sha1(struct bytes key, struct bytes in, uint8_t out[SHA1_BYTES]);

#endif
