/*
 * digest - SHA-256 and what is built of it, as functions that the process hands in.
 *
 * The protocol layer links no library of cryptography: who authenticates gives it these, made with OpenSSL or in a test of plain C.
 * They keep no state and must not look at anything but their arguments. The one of PBKDF2 takes long by design (about 1 ms for
 * 4,096 iterations): a process that does it in its loop bounds the iterations.
 */
#ifndef SMTP_DIGEST_H
#define SMTP_DIGEST_H

#include "base/bytes.h"

enum { SMTP_SHA256_BYTES = 32 };

/* Each returns false only when the library could not (no memory, not allowed); `out` holds nothing of use then. */
struct smtp_digest {
    bool (*sha256)(struct bytes in, uint8_t out[SMTP_SHA256_BYTES]);
    bool (*hmac)(struct bytes key, struct bytes in, uint8_t out[SMTP_SHA256_BYTES]); /* RFC 2104 */
    bool (*pbkdf2)(struct bytes password, struct bytes salt, uint32_t iterations, uint8_t out[SMTP_SHA256_BYTES]); /* RFC 8018 5.2, with HMAC */
};

#endif
