/*
 * exchanges - one authentication each: from the client's first line to DONE or a refusal.
 *
 * A user that does not exist costs the same work and the same time as a wrong password: a hash is computed for it, its SCRAM salt does not change,
 * and every refusal comes at the same distance from the moment at which the try was looked at.
 */
#include <string.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/authd/authd.h"

/* ---- the table ---- */

static struct exchange *find(struct authd *a, const struct ipc_channel *from, uint64_t request)
{
    for (uint32_t i = 0; i < EXCHANGES_MAX; i++) {
        struct exchange *x = &a->exchanges[i];
        if (x->state != EXCHANGE_FREE && x->request == request && x->receiver == ipc_peer_index(from) && x->receiver_epoch == ipc_peer_epoch(from)) return x;
    }
    return NULL;
}

static void drop(struct authd *a, struct exchange *x)
{
    if (x->cancel_dovecot) dovecot_cancel(a, x);
    smtp_sasl_server_wipe(&x->sasl);
    explicit_bzero(x->line, sizeof x->line);
    x->cancel_dovecot = false;
    x->state = EXCHANGE_FREE;
    x->generation++;
}

static uint64_t handle_of(const struct exchange *x) { return (uint64_t)x->generation << 32 | x->index; }

/* ---- answers ---- */

static void send_result(struct authd *a, struct exchange *x, enum smtp_auth_result result, struct bytes challenge, struct bytes login)
{
    struct ipc_channel *to = process_channel(a->process, ROLE_RECEIVER, x->receiver);
    const struct ipc_auth_result m = {.request = x->request, .result = (uint8_t)result, .challenge = challenge, .login = login};
    if (to && ipc_peer_epoch(to) == x->receiver_epoch && ipc_send_auth_result(to, &m, -1) != ERR_NONE)
        log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}

static void end(struct authd *a, struct exchange *x, enum smtp_auth_result result)
{
    send_result(a, x, result, (struct bytes){0}, (struct bytes){0});
    drop(a, x);
}

/* succeed - the client is this user. */
static void succeed(struct authd *a, struct exchange *x, struct bytes user)
{
    guesses_note(&a->guesses, &x->client, user, true, process_now_ms(a->process));
    send_result(a, x, SMTP_AUTH_DONE, (struct bytes){0}, user);
    x->cancel_dovecot = false;
    drop(a, x);
}

/* refuse - noted at once, said later. */
static void refuse(struct authd *a, struct exchange *x)
{
    guesses_note(&a->guesses, &x->client, x->sasl.user, false, process_now_ms(a->process));
    x->state = EXCHANGE_HELD;
    x->until_ms = x->looked_ms + FAILURE_AFTER_MS;
    if (x->cancel_dovecot) x->cancel_dovecot = false; /* it has answered */
}

static void challenge_client(struct authd *a, struct exchange *x, struct bytes octets)
{
    uint8_t memory[SMTP_CHALLENGE_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    smtp_base64_encode(&text, octets);
    must(!text.overflow);
    x->state = EXCHANGE_CLIENT;
    send_result(a, x, SMTP_AUTH_CHALLENGE, buf_bytes(&text), (struct bytes){0});
}

/* ---- looking at a try ---- */

static const struct user *user_of(const struct authd *a, const struct exchange *x)
{
    return users_find(&a->blocks[x->block].users, x->sasl.user);
}

static void on_result(struct authd *a, struct exchange *x, enum smtp_sasl_result result, struct bytes challenge);

static void look_at_password(struct authd *a, struct exchange *x)
{
    const struct user *user = user_of(a, x);
    struct bytes hash = user && user->hash.len > 0 ? user->hash : bytes_of(a->fake_hash, a->fake_hash_bytes);
    x->state = EXCHANGE_CRYPT;
    if (!crypting_submit(&a->crypting, handle_of(x), x->sasl.password, hash)) end(a, x, SMTP_AUTH_NOT_NOW);
}

void exchange_crypted(void *authd, uint64_t owner, bool fits)
{
    struct authd *a = authd;
    struct exchange *x = &a->exchanges[(uint32_t)owner % EXCHANGES_MAX];
    if (x->state != EXCHANGE_CRYPT || handle_of(x) != owner) return; /* its client has gone */
    const struct user *user = user_of(a, x);
    on_result(a, x, smtp_sasl_server_judge(&x->sasl, fits && user && user->hash.len > 0), (struct bytes){0});
}

static void look_at_verifier(struct authd *a, struct exchange *x)
{
    struct smtp_scram_verifier verifier;
    uint8_t memory[SMTP_SASL_MESSAGE_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    const struct user *user = user_of(a, x);
    /* Both are made, so that both cost the same. */
    if (!smtp_scram_verifier_fake(&secrets_digest, bytes_of(a->secret, sizeof a->secret), x->sasl.user, SECRETS_ITERATIONS, &verifier)) {
        end(a, x, SMTP_AUTH_NOT_NOW);
        return;
    }
    if (user) (void)smtp_scram_verifier_parse(user->verifier, &verifier); /* that of a user without one stays the false one */
    enum smtp_sasl_result result = smtp_sasl_server_verifier(&x->sasl, &verifier, &out);
    on_result(a, x, result, buf_bytes(&out));
    explicit_bzero(&verifier, sizeof verifier);
}

/* look_at_identity - EXTERNAL: the user of the certificate, and no other, when there is such a login. */
static void look_at_identity(struct authd *a, struct exchange *x)
{
    struct bytes certificate = bytes_of(x->certificate, x->certificate_bytes);
    bool same = x->sasl.user.len == 0 || bytes_equal(x->sasl.user, certificate);
    bool good = certificate.len > 0 && same && users_find(&a->blocks[x->block].users, certificate) != NULL;
    if (smtp_sasl_server_judge(&x->sasl, good) == SMTP_SASL_DONE) succeed(a, x, certificate);
    else refuse(a, x);
}

static void look(struct authd *a, struct exchange *x)
{
    x->looked_ms = process_now_ms(a->process);
    switch ((enum exchange_next)x->next) {
    case NEXT_PASSWORD: look_at_password(a, x); break;
    case NEXT_VERIFIER: look_at_verifier(a, x); break;
    case NEXT_IDENTITY: look_at_identity(a, x); break;
    case NEXT_DOVECOT:
        x->state = EXCHANGE_DOVECOT;
        x->until_ms = x->looked_ms + DOVECOT_WITHIN_MS;
        if (!(x->begins ? dovecot_begin(a, x) : dovecot_line(a, x))) end(a, x, SMTP_AUTH_NOT_NOW);
        break;
    }
}

/* pause_then - what is to be done next waits as long as what was tried before costs; once for a try. */
static void pause_then(struct authd *a, struct exchange *x, enum exchange_next next, struct bytes login)
{
    uint64_t now = process_now_ms(a->process);
    x->next = (uint8_t)next;
    if (x->paused_once) {
        look(a, x);
        return;
    }
    uint64_t wait = guesses_wait(&a->guesses, &x->client, login, now);
    x->paused_once = login.len > 0;
    if (wait > GUESSES_WAIT_MAX_MS) {
        end(a, x, SMTP_AUTH_TOO_MUCH);
    } else if (wait > 0) {
        x->state = EXCHANGE_PAUSE;
        x->until_ms = now + wait;
    } else {
        look(a, x);
    }
}

static void on_result(struct authd *a, struct exchange *x, enum smtp_sasl_result result, struct bytes challenge)
{
    switch (result) {
    case SMTP_SASL_CHALLENGE: challenge_client(a, x, challenge); break;
    case SMTP_SASL_ASK_PASSWORD: pause_then(a, x, NEXT_PASSWORD, x->sasl.user); break;
    case SMTP_SASL_ASK_VERIFIER: pause_then(a, x, NEXT_VERIFIER, x->sasl.user); break;
    case SMTP_SASL_ASK_IDENTITY: pause_then(a, x, NEXT_IDENTITY, bytes_of(x->certificate, x->certificate_bytes)); break;
    case SMTP_SASL_DONE: succeed(a, x, x->sasl.user); break;
    case SMTP_SASL_FAILED:
        if (x->looked_ms == 0) x->looked_ms = process_now_ms(a->process);
        refuse(a, x);
        break;
    default: end(a, x, SMTP_AUTH_MALFORMED); break;
    }
}

/* ---- lines of the client ---- */

/* read_line - the octets behind what came, or false when that is malformed. */
static bool read_line(const struct exchange *x, struct buf *out)
{
    return (x->begins && !x->has_initial) || smtp_sasl_line(bytes_of(x->line, x->line_bytes), x->begins, out) == SMTP_SASL_LINE_OK;
}

static void on_line(struct authd *a, struct exchange *x)
{
    uint8_t memory[SMTP_SASL_MESSAGE_BYTES_MAX], reply_memory[SMTP_SASL_MESSAGE_BYTES_MAX];
    struct buf message = BUF_OVER(memory), reply = BUF_OVER(reply_memory);
    bool by_dovecot = a->blocks[x->block].config->dovecot.len > 0;
    if (!read_line(x, &message)) {
        end(a, x, SMTP_AUTH_MALFORMED);
        return;
    }
    enum smtp_sasl_result result = SMTP_SASL_BAD;
    /* With Dovecot the machine only follows along, to learn the login's name for the pauses. */
    if (x->begins) result = smtp_sasl_server_start(&x->sasl, x->has_initial, buf_bytes(&message), &reply);
    else if (!by_dovecot || x->sasl.user.len == 0) result = smtp_sasl_server_feed(&x->sasl, buf_bytes(&message), &reply);
    explicit_bzero(memory, sizeof memory);
    if (by_dovecot) {
        pause_then(a, x, NEXT_DOVECOT, x->sasl.user);
        return;
    }
    explicit_bzero(x->line, sizeof x->line);
    on_result(a, x, result, buf_bytes(&reply));
}

static void keep_line(struct exchange *x, struct bytes text)
{
    x->line_bytes = text.len < sizeof x->line ? text.len : (uint32_t)sizeof x->line;
    if (x->line_bytes) memcpy(x->line, text.ptr, x->line_bytes);
}

static struct exchange *take(struct authd *a)
{
    for (uint32_t i = 0; i < EXCHANGES_MAX; i++) {
        if (a->exchanges[i].state != EXCHANGE_FREE) continue;
        uint32_t generation = a->exchanges[i].generation;
        a->exchanges[i] = (struct exchange){.index = i, .generation = generation};
        return &a->exchanges[i];
    }
    return NULL;
}

/* nonce_make - our part of SCRAM's nonce: random octets as base64, which has no comma. */
static bool nonce_make(struct buf *out)
{
    uint8_t octets[SMTP_SCRAM_NONCE_OWN_BYTES / 4 * 3];
    if (!secrets_random(octets, sizeof octets)) return false;
    smtp_base64_encode(out, bytes_of(octets, sizeof octets));
    return !out->overflow;
}

void exchange_begin(struct authd *a, struct ipc_channel *from, const struct ipc_auth_begin *m)
{
    const struct config_listener *listener = &CONFIG_ITEMS(a->config, a->config->listeners, struct config_listener)[m->listener];
    struct exchange *x = take(a);
    uint8_t memory[SMTP_SCRAM_NONCE_OWN_BYTES];
    struct buf nonce = BUF_OVER(memory);
    if (!x || !nonce_make(&nonce)) {
        const struct ipc_auth_result busy = {.request = m->request, .result = SMTP_AUTH_NOT_NOW};
        if (ipc_send_auth_result(from, &busy, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
        return;
    }
    x->state = EXCHANGE_CLIENT;
    x->receiver = ipc_peer_index(from);
    x->receiver_epoch = ipc_peer_epoch(from);
    x->request = m->request;
    x->block = listener->auth_block;
    x->mechanism = m->mechanism;
    x->client = m->client;
    x->local = m->local;
    x->begins = true;
    x->has_initial = m->has_initial;
    x->certificate_bytes = m->certificate_user.len;
    if (m->certificate_user.len) memcpy(x->certificate, m->certificate_user.ptr, m->certificate_user.len);
    keep_line(x, m->initial);
    smtp_sasl_server_begin(&x->sasl, (enum smtp_sasl_mechanism)m->mechanism, &secrets_digest, buf_bytes(&nonce));
    on_line(a, x);
}

void exchange_line(struct authd *a, struct ipc_channel *from, const struct ipc_auth_line *m)
{
    struct exchange *x = find(a, from, m->request);
    if (!x) return; /* ended meanwhile */
    if (m->cancel) {
        drop(a, x);
        return;
    }
    if (x->state != EXCHANGE_CLIENT) {
        process_violation(a->process, from, "an answer to a challenge that was not sent");
        return;
    }
    x->begins = x->has_initial = false;
    keep_line(x, m->text);
    on_line(a, x);
}

/* ---- Dovecot ---- */

void exchange_dovecot(struct authd *a, uint16_t block, const struct smtp_authd_line *line)
{
    struct exchange *x = NULL;
    for (uint32_t i = 0; i < EXCHANGES_MAX && !x; i++) {
        if (a->exchanges[i].state == EXCHANGE_DOVECOT && a->exchanges[i].block == block && a->exchanges[i].dovecot_id == line->id) x = &a->exchanges[i];
    }
    if (!x) return; /* its client has gone */
    if (line->kind == SMTP_AUTHD_CONT) {
        x->state = EXCHANGE_CLIENT;
        if (line->text.len > SMTP_CHALLENGE_BYTES_MAX) end(a, x, SMTP_AUTH_NOT_NOW);
        else send_result(a, x, SMTP_AUTH_CHALLENGE, line->text, (struct bytes){0});
    } else if (line->kind == SMTP_AUTHD_OK) {
        succeed(a, x, line->text);
    } else if (line->failure == SMTP_AUTHD_TEMPORARY) {
        x->cancel_dovecot = false;
        end(a, x, SMTP_AUTH_NOT_NOW);
    } else {
        refuse(a, x);
    }
}

void exchanges_dovecot_gone(struct authd *a, uint16_t block)
{
    for (uint32_t i = 0; i < EXCHANGES_MAX; i++) {
        struct exchange *x = &a->exchanges[i];
        if (x->state == EXCHANGE_FREE || x->block != block || !x->cancel_dovecot) continue;
        x->cancel_dovecot = false;
        if (x->state == EXCHANGE_DOVECOT || x->state == EXCHANGE_CLIENT) end(a, x, SMTP_AUTH_NOT_NOW);
    }
}

/* ---- time, and receivers that die ---- */

void exchanges_receiver_gone(struct authd *a, uint16_t receiver)
{
    for (uint32_t i = 0; i < EXCHANGES_MAX; i++) {
        if (a->exchanges[i].state != EXCHANGE_FREE && a->exchanges[i].receiver == receiver) drop(a, &a->exchanges[i]);
    }
}

static bool is_timed(const struct exchange *x)
{
    return x->state == EXCHANGE_PAUSE || x->state == EXCHANGE_HELD || x->state == EXCHANGE_DOVECOT;
}

void exchanges_turn(struct authd *a)
{
    uint64_t now = process_now_ms(a->process);
    for (uint32_t i = 0; i < EXCHANGES_MAX; i++) {
        struct exchange *x = &a->exchanges[i];
        if (!is_timed(x) || x->until_ms > now) continue;
        if (x->state == EXCHANGE_PAUSE) look(a, x);
        else end(a, x, x->state == EXCHANGE_HELD ? SMTP_AUTH_FAILED : SMTP_AUTH_NOT_NOW);
    }
}

uint64_t exchanges_deadline(const struct authd *a)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t i = 0; i < EXCHANGES_MAX; i++) {
        if (is_timed(&a->exchanges[i]) && a->exchanges[i].until_ms < at) at = a->exchanges[i].until_ms;
    }
    return at;
}
