/*
 * Fuzzer of authentication: messages of a hostile client, challenges of a hostile server, and stored verifiers.
 *
 * The digest is a cheap stand-in: the machines must hold whatever it says, and must never be DONE without being told that all is right.
 */
#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "smtp/sasl_client.h"
#include "smtp/sasl_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool cheap_sha256(struct bytes in, uint8_t *out)
{
    memset(out, (int)(in.len & 255), SMTP_SHA256_BYTES);
    for (uint32_t i = 0; i < in.len; i++) out[i % SMTP_SHA256_BYTES] = (uint8_t)(out[i % SMTP_SHA256_BYTES] * 31 + in.ptr[i]);
    return true;
}

static bool cheap_hmac(struct bytes key, struct bytes in, uint8_t *out)
{
    (void)key;
    return cheap_sha256(in, out);
}

static bool cheap_pbkdf2(struct bytes password, struct bytes salt, uint32_t iterations, uint8_t *out)
{
    (void)salt;
    must(iterations <= SMTP_SCRAM_ITERATIONS_MAX);
    return cheap_sha256(password, out);
}

static const struct smtp_digest cheap = {cheap_sha256, cheap_hmac, cheap_pbkdf2};

/* next_message - up to the next octet 255. */
static struct bytes next_message(struct bytes *in)
{
    uint32_t end = bytes_find(*in, 255);
    struct bytes message = bytes_slice(*in, 0, end);
    *in = bytes_from(*in, end + 1);
    return message;
}

static void fuzz_server(enum smtp_sasl_mechanism mechanism, struct bytes in, bool good)
{
    struct smtp_sasl_server s;
    struct smtp_scram_verifier v;
    uint8_t memory[SMTP_SASL_MESSAGE_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    must(smtp_scram_verifier_fake(&cheap, BYTES("secret"), BYTES("user"), 4096, &v));
    smtp_sasl_server_begin(&s, mechanism, &cheap, BYTES("123456789012345678901234"));
    enum smtp_sasl_result result = smtp_sasl_server_start(&s, good, good ? next_message(&in) : BYTES(""), &out);
    bool told = false, user = false;
    for (uint32_t round = 0; round < 8; round++) {
        must(!out.overflow && s.user.len <= SMTP_SASL_NAME_BYTES_MAX && s.password.len <= SMTP_SASL_PASSWORD_BYTES_MAX);
        must(result != SMTP_SASL_DONE || told);
        user |= s.user.len > 0;
        must(!user || smtp_sasl_text_valid(s.user, SMTP_SASL_NAME_BYTES_MAX));
        out.len = 0;
        if (result == SMTP_SASL_CHALLENGE) result = smtp_sasl_server_feed(&s, next_message(&in), &out);
        else if (result == SMTP_SASL_ASK_VERIFIER) result = smtp_sasl_server_verifier(&s, &v, &out);
        else if (result == SMTP_SASL_ASK_PASSWORD || result == SMTP_SASL_ASK_IDENTITY) result = smtp_sasl_server_judge(&s, good);
        else break;
        told = mechanism == SMTP_SASL_SCRAM_SHA_256 || good;
    }
    must(result != SMTP_SASL_CHALLENGE); /* every exchange ends */
}

static void fuzz_client(enum smtp_sasl_mechanism mechanism, struct bytes in)
{
    struct smtp_sasl_client c;
    struct smtp_sasl_credentials credentials = {BYTES("user,=x"), BYTES("secret")};
    uint8_t memory[SMTP_SASL_MESSAGE_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    smtp_sasl_client_begin(&c, mechanism, &credentials, &cheap, BYTES("123456789012345678901234"));
    (void)smtp_sasl_client_initial(&c, &out);
    bool answered = true;
    uint32_t rounds = 0;
    for (; answered && rounds < 8; rounds++) {
        must(!out.overflow);
        out.len = 0;
        must(mechanism != SMTP_SASL_SCRAM_SHA_256 || !smtp_sasl_client_accept(&c) || rounds >= 2);
        answered = smtp_sasl_client_feed(&c, next_message(&in), &out);
    }
    must(rounds < 8 && !smtp_sasl_client_accept(&c));
}

static void fuzz_verifier(struct bytes in)
{
    struct smtp_scram_verifier v, again;
    uint8_t memory[SMTP_SCRAM_VERIFIER_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    if (!smtp_scram_verifier_parse(in, &v)) return;
    smtp_scram_verifier_print(&out, &v);
    must(!out.overflow && bytes_equal_nocase(buf_bytes(&out), in));
    must(smtp_scram_verifier_parse(buf_bytes(&out), &again) && memcmp(&v, &again, sizeof(v)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8192) return 0;
    struct bytes in = bytes_of(data + 1, (uint32_t)size - 1);
    enum smtp_sasl_mechanism mechanism = (enum smtp_sasl_mechanism)(1 + data[0] % (SMTP_SASL_MECHANISM_COUNT - 1));
    if (mechanism != SMTP_SASL_XOAUTH2) fuzz_server(mechanism, in, data[0] & 0x80);
    fuzz_client(mechanism, in);
    fuzz_verifier(in);
    must(smtp_sasl_set(in) < SMTP_SASL_BIT(SMTP_SASL_MECHANISM_COUNT));
    return 0;
}
