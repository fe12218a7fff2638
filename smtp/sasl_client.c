/*
 * sasl_client - see smtp/sasl_client.h.
 */
#include "smtp/sasl_client.h"

#include <string.h>

#include "base/must.h"

enum step { OVER = 0, INITIAL, LOGIN_USER, LOGIN_PASSWORD, SCRAM_FIRST, SCRAM_FINAL, NOTHING_MORE };

/* token_valid - a bearer token (RFC 6750 2.1): visible ASCII. A control octet in it would end the field. */
static bool token_valid(struct bytes token)
{
    if (token.len == 0 || token.len > SMTP_SASL_TOKEN_BYTES_MAX) return false;
    for (uint32_t i = 0; i < token.len; i++) {
        if (token.ptr[i] <= ' ' || token.ptr[i] > '~') return false;
    }
    return true;
}

bool smtp_sasl_credentials_valid(enum smtp_sasl_mechanism mechanism, const struct smtp_sasl_credentials *credentials)
{
    bool user = smtp_sasl_text_valid(credentials->user, SMTP_SASL_NAME_BYTES_MAX);
    if (mechanism == SMTP_SASL_EXTERNAL) return user || credentials->user.len == 0;
    if (mechanism == SMTP_SASL_XOAUTH2) return user && token_valid(credentials->secret);
    return user && smtp_sasl_text_valid(credentials->secret, SMTP_SASL_PASSWORD_BYTES_MAX);
}

void smtp_sasl_client_begin(struct smtp_sasl_client *c, enum smtp_sasl_mechanism mechanism, const struct smtp_sasl_credentials *credentials,
                            const struct smtp_digest *digest, struct bytes nonce)
{
    must(mechanism > SMTP_SASL_NONE && mechanism < SMTP_SASL_MECHANISM_COUNT);
    must(smtp_sasl_credentials_valid(mechanism, credentials));
    memset(c, 0, sizeof(*c));
    c->mechanism = (uint8_t)mechanism;
    c->credentials = credentials;
    c->digest = digest;
    c->step = INITIAL;
    c->proven = mechanism != SMTP_SASL_SCRAM_SHA_256;
    if (c->proven) return;
    must(digest && nonce.len == sizeof(c->own_nonce) && smtp_scram_nonce_valid(nonce));
    memcpy(c->own_nonce, nonce.ptr, nonce.len);
}

static void put_scram_first(struct smtp_sasl_client *c, struct buf *out)
{
    struct buf bare = BUF_OVER(c->first);
    BUF_LIT(&bare, "n=");
    smtp_scram_name_encode(&bare, c->credentials->user);
    BUF_LIT(&bare, ",r=");
    buf_put(&bare, bytes_of(c->own_nonce, sizeof(c->own_nonce)));
    must(!bare.overflow);
    c->first_bytes = bare.len;
    BUF_LIT(out, "n,,"); /* this client cannot bind to a channel */
    buf_put(out, buf_bytes(&bare));
    c->step = SCRAM_FIRST;
}

bool smtp_sasl_client_initial(struct smtp_sasl_client *c, struct buf *out)
{
    must(c->step == INITIAL);
    const struct smtp_sasl_credentials *credentials = c->credentials;
    c->step = NOTHING_MORE;
    switch ((enum smtp_sasl_mechanism)c->mechanism) {
    case SMTP_SASL_LOGIN:
        c->step = LOGIN_USER;
        return false;
    case SMTP_SASL_SCRAM_SHA_256: put_scram_first(c, out); break;
    case SMTP_SASL_EXTERNAL: buf_put(out, credentials->user); break;
    case SMTP_SASL_PLAIN:
        buf_put_c(out, 0);
        buf_put(out, credentials->user);
        buf_put_c(out, 0);
        buf_put(out, credentials->secret);
        break;
    case SMTP_SASL_XOAUTH2:
        BUF_LIT(out, "user=");
        buf_put(out, credentials->user);
        BUF_LIT(out, "\1auth=Bearer ");
        buf_put(out, credentials->secret);
        BUF_LIT(out, "\1\1");
        break;
    case SMTP_SASL_NONE:
    case SMTP_SASL_MECHANISM_COUNT: break;
    }
    return true;
}

/* on_server_first - answer the server's nonce, salt and iterations with our proof. */
static bool on_server_first(struct smtp_sasl_client *c, struct bytes challenge, struct buf *out)
{
    struct smtp_scram_server_first first;
    struct bytes own = bytes_of(c->own_nonce, sizeof(c->own_nonce));
    uint8_t salt_memory[SMTP_SCRAM_SALT_BYTES_MAX], proof[SMTP_SHA256_BYTES], message_memory[SMTP_SCRAM_NONCE_BYTES_MAX + 128];
    struct buf salt = BUF_OVER(salt_memory), message = BUF_OVER(message_memory);
    if (!smtp_scram_server_first_parse(challenge, &first) || !smtp_base64_decode(first.salt, &salt)) return false;
    if (!bytes_starts(first.nonce, own) || first.nonce.len == own.len) return false; /* a server that adds nothing replays */

    BUF_LIT(&message, "c=biws,r="); /* base64 of "n,," */
    buf_put(&message, first.nonce);
    struct smtp_scram_transcript t = {bytes_of(c->first, c->first_bytes), challenge, buf_bytes(&message)};
    if (!smtp_scram_client_proof(c->digest, c->credentials->secret, buf_bytes(&salt), first.iterations, &t, proof, c->signature)) return false;
    BUF_LIT(&message, ",p=");
    smtp_base64_encode(&message, bytes_of(proof, sizeof(proof)));
    must(!message.overflow);
    buf_put(out, buf_bytes(&message));
    c->step = SCRAM_FINAL;
    return true;
}

static bool on_server_final(struct smtp_sasl_client *c, struct bytes challenge)
{
    struct bytes value;
    uint8_t memory[SMTP_SHA256_BYTES];
    struct buf signature = BUF_OVER(memory);
    if (smtp_scram_server_final_parse(challenge, &value) != SMTP_SCRAM_FINAL_VERIFIER || !smtp_base64_decode(value, &signature)) return false;
    c->proven = smtp_scram_same(buf_bytes(&signature), bytes_of(c->signature, sizeof(c->signature)));
    c->step = NOTHING_MORE;
    return c->proven;
}

/* on_unasked - a challenge behind the last message. XOAUTH2 sends its error in one, and wants an empty answer before it says 535. */
static bool on_unasked(struct smtp_sasl_client *c)
{
    bool answer = c->mechanism == SMTP_SASL_XOAUTH2;
    c->step = OVER;
    return answer;
}

static bool on_challenge(struct smtp_sasl_client *c, struct bytes challenge, struct buf *out)
{
    switch ((enum step)c->step) {
    case LOGIN_USER: /* the words of the prompts differ from server to server; their order does not */
        buf_put(out, c->credentials->user);
        c->step = LOGIN_PASSWORD;
        return true;
    case LOGIN_PASSWORD:
        buf_put(out, c->credentials->secret);
        c->step = NOTHING_MORE;
        return true;
    case SCRAM_FIRST: return on_server_first(c, challenge, out);
    case SCRAM_FINAL: return on_server_final(c, challenge);
    case NOTHING_MORE: return on_unasked(c);
    case OVER:
    case INITIAL: break;
    }
    return false;
}

bool smtp_sasl_client_feed(struct smtp_sasl_client *c, struct bytes challenge, struct buf *out)
{
    must(c->step != INITIAL);
    bool answer = on_challenge(c, challenge, out);
    if (!answer) {
        c->step = OVER;
        c->proven = false;
    }
    return answer;
}

bool smtp_sasl_client_accept(const struct smtp_sasl_client *c)
{
    return c->step == NOTHING_MORE && c->proven;
}

void smtp_sasl_client_wipe(struct smtp_sasl_client *c)
{
    explicit_bzero(c, sizeof(*c));
}
