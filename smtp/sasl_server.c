/*
 * sasl_server - see smtp/sasl_server.h.
 */
#include "smtp/sasl_server.h"

#include <string.h>

#include "base/must.h"

enum step { OVER = 0, FIRST, LOGIN_PASSWORD, WAIT_JUDGE, WAIT_VERIFIER, SCRAM_PROOF, SCRAM_END };

static enum smtp_sasl_result over(struct smtp_sasl_server *s, enum smtp_sasl_result result)
{
    explicit_bzero(s->password_store, sizeof(s->password_store));
    explicit_bzero(&s->verifier, sizeof(s->verifier));
    s->password = BYTES("");
    s->step = OVER;
    return result;
}

static enum smtp_sasl_result ask(struct smtp_sasl_server *s, enum step next, enum smtp_sasl_result question)
{
    s->step = (uint8_t)next;
    return question;
}

void smtp_sasl_server_begin(struct smtp_sasl_server *s, enum smtp_sasl_mechanism mechanism, const struct smtp_digest *digest, struct bytes nonce)
{
    must(mechanism > SMTP_SASL_NONE && mechanism < SMTP_SASL_MECHANISM_COUNT && mechanism != SMTP_SASL_XOAUTH2);
    memset(s, 0, sizeof(*s));
    s->mechanism = (uint8_t)mechanism;
    s->digest = digest;
    s->step = FIRST;
    s->user = bytes_of(s->user_store, 0);
    if (mechanism != SMTP_SASL_SCRAM_SHA_256) return;
    must(digest && nonce.len == sizeof(s->own_nonce) && smtp_scram_nonce_valid(nonce));
    memcpy(s->own_nonce, nonce.ptr, nonce.len);
}

static bool keep_user(struct smtp_sasl_server *s, struct bytes user)
{
    if (!smtp_sasl_text_valid(user, sizeof(s->user_store))) return false;
    memcpy(s->user_store, user.ptr, user.len);
    s->user = bytes_of(s->user_store, user.len);
    return true;
}

static bool keep_password(struct smtp_sasl_server *s, struct bytes password)
{
    if (!smtp_sasl_text_valid(password, sizeof(s->password_store))) return false;
    memcpy(s->password_store, password.ptr, password.len);
    s->password = bytes_of(s->password_store, password.len);
    return true;
}

/* on_plain - [authzid] NUL authcid NUL password. */
static enum smtp_sasl_result on_plain(struct smtp_sasl_server *s, struct bytes message)
{
    uint32_t first = bytes_find(message, 0);
    struct bytes rest = bytes_from(message, first + 1);
    uint32_t second = bytes_find(rest, 0);
    if (first == message.len || second == rest.len) return over(s, SMTP_SASL_BAD);
    struct bytes authzid = bytes_slice(message, 0, first), authcid = bytes_slice(rest, 0, second);
    if (!keep_user(s, authcid) || !keep_password(s, bytes_from(rest, second + 1))) return over(s, SMTP_SASL_BAD);
    if (authzid.len > 0 && !bytes_equal(authzid, authcid)) return over(s, SMTP_SASL_FAILED);
    return ask(s, WAIT_JUDGE, SMTP_SASL_ASK_PASSWORD);
}

static enum smtp_sasl_result on_login_user(struct smtp_sasl_server *s, struct bytes message, struct buf *out)
{
    if (!keep_user(s, message)) return over(s, SMTP_SASL_BAD);
    BUF_LIT(out, "Password:");
    return ask(s, LOGIN_PASSWORD, SMTP_SASL_CHALLENGE);
}

static enum smtp_sasl_result on_external(struct smtp_sasl_server *s, struct bytes message)
{
    if (message.len > 0 && !keep_user(s, message)) return over(s, SMTP_SASL_BAD);
    return ask(s, WAIT_JUDGE, SMTP_SASL_ASK_IDENTITY);
}

static enum smtp_sasl_result on_scram_first(struct smtp_sasl_server *s, struct bytes message)
{
    struct smtp_scram_client_first first;
    uint8_t user_memory[SMTP_SASL_NAME_BYTES_MAX], authzid_memory[SMTP_SASL_NAME_BYTES_MAX];
    struct buf user = BUF_OVER(user_memory), authzid = BUF_OVER(authzid_memory);
    if (!smtp_scram_client_first_parse(message, &first)) return over(s, SMTP_SASL_BAD);
    /* Both sides' nonces together must still be a nonce for the client's parser. */
    if (first.nonce.len + sizeof(s->own_nonce) > SMTP_SCRAM_NONCE_BYTES_MAX) return over(s, SMTP_SASL_BAD);
    if (!smtp_scram_name_decode(first.user, &user) || !keep_user(s, buf_bytes(&user))) return over(s, SMTP_SASL_BAD);
    if (first.authzid.len > 0 && !smtp_scram_name_decode(first.authzid, &authzid)) return over(s, SMTP_SASL_BAD);
    if (authzid.len > 0 && !bytes_equal(buf_bytes(&authzid), s->user)) return over(s, SMTP_SASL_FAILED);

    memcpy(s->message, message.ptr, message.len);
    s->gs2_bytes = first.gs2_header.len;
    s->bare_bytes = first.bare.len;
    struct buf reply = BUF_OVER(s->first);
    BUF_LIT(&reply, "r=");
    buf_put(&reply, first.nonce);
    buf_put(&reply, bytes_of(s->own_nonce, sizeof(s->own_nonce)));
    s->nonce_bytes = reply.len - 2;
    s->first_bytes = reply.len;
    return ask(s, WAIT_VERIFIER, SMTP_SASL_ASK_VERIFIER);
}

enum smtp_sasl_result smtp_sasl_server_verifier(struct smtp_sasl_server *s, const struct smtp_scram_verifier *v, struct buf *out)
{
    must(s->step == WAIT_VERIFIER && v->salt_bytes <= SMTP_SCRAM_SALT_BYTES_MAX);
    s->verifier = *v;
    struct buf reply = BUF_OVER(s->first);
    reply.len = s->first_bytes;
    BUF_LIT(&reply, ",s=");
    smtp_base64_encode(&reply, bytes_of(v->salt, v->salt_bytes));
    BUF_LIT(&reply, ",i=");
    buf_put_u64(&reply, v->iterations);
    must(!reply.overflow);
    s->first_bytes = reply.len;
    buf_put(out, buf_bytes(&reply));
    return ask(s, SCRAM_PROOF, SMTP_SASL_CHALLENGE);
}

/* binding_matches - the header that the client signs is the one it sent: else somebody took a stronger mechanism from between us. */
static bool binding_matches(const struct smtp_sasl_server *s, struct bytes binding)
{
    uint8_t memory[SMTP_SASL_MESSAGE_BYTES_MAX];
    struct buf header = BUF_OVER(memory);
    return smtp_base64_decode(binding, &header) && bytes_equal(buf_bytes(&header), bytes_of(s->message, s->gs2_bytes));
}

static enum smtp_sasl_result on_scram_proof(struct smtp_sasl_server *s, struct bytes message, struct buf *out)
{
    struct smtp_scram_client_final final;
    uint8_t proof_memory[SMTP_SHA256_BYTES], signature[SMTP_SHA256_BYTES];
    struct buf proof = BUF_OVER(proof_memory);
    if (!smtp_scram_client_final_parse(message, &final) || !smtp_base64_decode(final.proof, &proof)) return over(s, SMTP_SASL_BAD);
    if (!binding_matches(s, final.binding)) return over(s, SMTP_SASL_FAILED);
    if (!bytes_equal(final.nonce, bytes_of(s->first + 2, s->nonce_bytes))) return over(s, SMTP_SASL_FAILED);

    struct smtp_scram_transcript t = {bytes_of(s->message + s->gs2_bytes, s->bare_bytes), bytes_of(s->first, s->first_bytes), final.without_proof};
    if (!smtp_scram_check_proof(s->digest, &s->verifier, &t, buf_bytes(&proof))) return over(s, SMTP_SASL_FAILED);
    if (!smtp_scram_server_signature(s->digest, s->verifier.server_key, &t, signature)) return over(s, SMTP_SASL_FAILED);
    BUF_LIT(out, "v=");
    smtp_base64_encode(out, bytes_of(signature, sizeof(signature)));
    return ask(s, SCRAM_END, SMTP_SASL_CHALLENGE);
}

static enum smtp_sasl_result on_first(struct smtp_sasl_server *s, struct bytes message, struct buf *out)
{
    switch ((enum smtp_sasl_mechanism)s->mechanism) {
    case SMTP_SASL_PLAIN: return on_plain(s, message);
    case SMTP_SASL_LOGIN: return on_login_user(s, message, out);
    case SMTP_SASL_EXTERNAL: return on_external(s, message);
    case SMTP_SASL_SCRAM_SHA_256: return on_scram_first(s, message);
    default: return over(s, SMTP_SASL_BAD);
    }
}

enum smtp_sasl_result smtp_sasl_server_start(struct smtp_sasl_server *s, bool has_initial, struct bytes initial, struct buf *out)
{
    must(s->step == FIRST);
    if (has_initial) return smtp_sasl_server_feed(s, initial, out);
    if (s->mechanism == SMTP_SASL_LOGIN) BUF_LIT(out, "Username:"); /* the others' first challenge is empty: the client speaks first */
    return SMTP_SASL_CHALLENGE;
}

enum smtp_sasl_result smtp_sasl_server_feed(struct smtp_sasl_server *s, struct bytes message, struct buf *out)
{
    if (message.len > SMTP_SASL_MESSAGE_BYTES_MAX) return over(s, SMTP_SASL_BAD);
    switch ((enum step)s->step) {
    case FIRST: return on_first(s, message, out);
    case LOGIN_PASSWORD:
        if (!keep_password(s, message)) return over(s, SMTP_SASL_BAD);
        return ask(s, WAIT_JUDGE, SMTP_SASL_ASK_PASSWORD);
    case SCRAM_PROOF: return on_scram_proof(s, message, out);
    case SCRAM_END: return over(s, message.len == 0 ? SMTP_SASL_DONE : SMTP_SASL_BAD);
    case OVER:
    case WAIT_JUDGE:
    case WAIT_VERIFIER: break;
    }
    return over(s, SMTP_SASL_BAD); /* a message that nobody asked for */
}

enum smtp_sasl_result smtp_sasl_server_judge(struct smtp_sasl_server *s, bool good)
{
    must(s->step == WAIT_JUDGE);
    return over(s, good ? SMTP_SASL_DONE : SMTP_SASL_FAILED);
}

void smtp_sasl_server_wipe(struct smtp_sasl_server *s)
{
    explicit_bzero(s, sizeof(*s));
}
