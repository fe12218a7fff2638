/*
 * secrets - the cryptography of passwords: hashes of libcrypt, and the digests of SCRAM by OpenSSL. Shared with mtactl user, which writes what is
 * checked here. Only this module includes their headers for it.
 */
#ifndef MTA_AUTHD_SECRETS_H
#define MTA_AUTHD_SECRETS_H

#include "smtp/digest.h"

enum {
    SECRETS_HASH_BYTES_MAX = 384,      /* of a hash in crypt(5) form; CRYPT_OUTPUT_SIZE */
    SECRETS_ITERATIONS = 10000,        /* of SCRAM verifiers that are made here; the client pays for them at each login */
    SECRETS_SALT_BYTES = 16,
};

/* The digests, by OpenSSL. */
extern const struct smtp_digest secrets_digest;

/* secrets_hash - a password's yescrypt hash with a fresh salt, into out (SECRETS_HASH_BYTES_MAX, NUL-terminated). Cost: some tens of milliseconds. */
bool secrets_hash(struct bytes password, char *out);

/* secrets_fits - whether a password has this hash, of any kind that libcrypt knows. The same cost for right and wrong passwords. */
bool secrets_fits(struct bytes password, struct bytes hash);

/* secrets_hash_valid - whether it is a hash that libcrypt knows and calls good. */
bool secrets_hash_valid(struct bytes hash);

/* secrets_random - octets of the kernel; false when there are none. */
bool secrets_random(void *out, uint32_t bytes);

#endif
