/*
 * authd
 *
 * Purpose      Checks passwords: by a password file, or by asking Dovecot; lets guessers wait; counts what each login sends
 * Runs as      _mta-authd; empty root, no files, no sockets but its channels and what the master connects. There is none when no auth block is configured
 * Inherits     control channel, configuration, log
 * Talks to     master: AUTH_FILE (an open password file), AUTH_SOCKET (a connection to Dovecot) in; AUTH_CONNECT out
 *              receiver: AUTH_BEGIN, AUTH_LINE, LOGIN_SPEND in; AUTH_RESULT, LOGIN_SPENT out
 * May do       read files and use sockets that it was handed; threads of its own, made before lock-down, compute hashes
 * Holds        the password file (hashes and verifiers), authentications under way, counts of failures and of mail by login
 * Exceptions   allocates after lock-down: the password file, and libcrypt its working memory
 * If it dies   who was logging in is told 454; sessions that are logged in go on; counts begin anew
 * If a peer lies  a receiver can try passwords, which costs what it costs its clients; Dovecot is believed about logins, and nothing else
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/authd/authd.h"
#include "mta/process/dispatch.h"

enum { RECEIVE_BUFFERS = 32, RECEIVE_BUFFER_BYTES = 8192 };

PROCESS_DISPATCH(authd)

/* ---- the password file ---- */

/* read_whole - malloc memory with all of it. */
static uint8_t *read_whole(int fd, uint32_t *bytes)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size < 0 || st.st_size > USERS_FILE_BYTES_MAX) return NULL;
    uint8_t *text = malloc((size_t)st.st_size + 1);
    ssize_t got = 0;
    for (*bytes = 0; text && *bytes < (uint64_t)st.st_size; *bytes += (uint32_t)got) {
        got = pread(fd, text + *bytes, (size_t)st.st_size - *bytes, *bytes);
        if (got <= 0) break;
    }
    return text;
}

static void say_file(const struct authd *a, uint16_t block, enum log_level level, const char *what, uint64_t number, const char *why)
{
    struct buf *line = log_begin(level);
    buf_put_cstr(line, level == LOG_LEVEL_INFO ? "password file " : "error: password file ");
    log_bytes(line, config_bytes(a->config, a->blocks[block].config->file));
    buf_put_cstr(line, what);
    buf_put_u64(line, number);
    buf_put_cstr(line, why);
    log_end();
}

void authd_on_auth_file(struct process *p, struct ipc_channel *from, const struct ipc_auth_file *m, int fd)
{
    struct authd *a = authd_of(p);
    uint32_t bytes = 0, line = 0;
    const char *why = NULL;
    if (m->block >= a->config->auths.count || a->blocks[m->block].config->file.len == 0) {
        close(fd);
        process_violation(p, from, "a password file of a block that has none");
        return;
    }
    struct block *b = &a->blocks[m->block];
    uint8_t *text = read_whole(fd, &bytes);
    close(fd);
    if (!text) {
        say_file(a, m->block, LOG_LEVEL_ERROR, " cannot be read, or is larger than ", USERS_FILE_BYTES_MAX,
            b->loaded ? " octets; the one before stays in use" : " octets");
        return;
    }
    enum err e = users_parse(&b->users, text, bytes, &line, &why);
    if (e == ERR_BAD_VALUE) {
        uint8_t memory[200];
        struct buf words = buf_over(memory, sizeof memory - 1);
        BUF_LIT(&words, ": ");
        buf_put_cstr(&words, why);
        buf_put_cstr(&words, b->loaded ? "; the one before stays in use" : "; nobody can log in");
        memory[words.len] = 0;
        say_file(a, m->block, LOG_LEVEL_ERROR, ":", line, (const char *)memory);
    } else if (e != ERR_NONE) {
        say_file(a, m->block, LOG_LEVEL_ERROR, ": no memory for ", bytes, " octets");
    } else {
        b->loaded = true;
        say_file(a, m->block, LOG_LEVEL_INFO, ": ", b->users.count, b->users.count == 1 ? " login" : " logins");
    }
}

void authd_on_auth_socket(struct process *p, struct ipc_channel *from, const struct ipc_auth_socket *m, int fd)
{
    struct authd *a = authd_of(p);
    if (m->block < a->config->auths.count && a->blocks[m->block].config->dovecot.len > 0) {
        dovecot_connected(a, m->block, fd, m->text);
        return;
    }
    if (fd >= 0) close(fd);
    process_violation(p, from, "a connection for a block that wants none");
}

/* ---- receivers ---- */

void authd_on_auth_begin(struct process *p, struct ipc_channel *from, const struct ipc_auth_begin *m, int fd)
{
    (void)fd;
    struct authd *a = authd_of(p);
    const struct config_listener *listeners = CONFIG_ITEMS(a->config, a->config->listeners, struct config_listener);
    bool known = m->listener < a->config->listeners.count && listeners[m->listener].auth.len > 0;
    if (known && (a->blocks[listeners[m->listener].auth_block].config->mechanisms & SMTP_SASL_BIT(m->mechanism))) exchange_begin(a, from, m);
    else process_violation(p, from, "an authentication that its listener does not offer");
}

void authd_on_auth_line(struct process *p, struct ipc_channel *from, const struct ipc_auth_line *m, int fd)
{
    (void)fd;
    exchange_line(authd_of(p), from, m);
}

static void alert(const struct authd *a, const struct ipc_login_spend *m)
{
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: alert: login <");
    log_bytes(line, m->login);
    BUF_LIT(line, "> is at its limit within an hour (");
    buf_put_u64(line, m->messages > 0 ? a->config->limits.login_messages : a->config->limits.login_rcpts);
    buf_put_cstr(line, m->messages > 0 ? " messages" : " recipients");
    BUF_LIT(line, "); more is answered with 450. A stolen password?");
    log_end();
}

void authd_on_login_spend(struct process *p, struct ipc_channel *from, const struct ipc_login_spend *m, int fd)
{
    (void)fd;
    struct authd *a = authd_of(p);
    const struct spending what = {m->messages, m->rcpts, a->config->limits.login_messages, a->config->limits.login_rcpts};
    bool tell;
    uint64_t wait_ms;
    struct ipc_login_spent answer = {.request = m->request};
    answer.allowed = spend(&a->guesses, m->login, &what, process_now_ms(p), &tell, &wait_ms);
    answer.wait_s = (uint32_t)((wait_ms + 999) / 1000);
    if (tell) alert(a, m);
    if (ipc_send_login_spent(from, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}

/* ---- the process ---- */

/* warm_up - OpenSSL opens files and makes its tables when a digest is used for the first time: that must be before the lock-down. */
static bool warm_up(void)
{
    struct smtp_scram_verifier v;
    uint8_t signature[SMTP_SHA256_BYTES];
    const struct smtp_scram_transcript none = {BYTES("n"), BYTES("r"), BYTES("c")};
    return smtp_scram_verifier_make(&secrets_digest, BYTES("warm"), BYTES("salt"), SMTP_SCRAM_ITERATIONS_MIN, &v) &&
           smtp_scram_server_signature(&secrets_digest, v.server_key, &none, signature);
}

/* make_fakes - what users that do not exist are made of. */
static bool make_fakes(struct authd *a)
{
    uint8_t password[24];
    char hash[SECRETS_HASH_BYTES_MAX];
    if (!secrets_random(a->secret, sizeof a->secret) || !secrets_random(password, sizeof password)) return false;
    for (uint32_t i = 0; i < sizeof password; i++) password[i] = (uint8_t)('a' + password[i] % 26);
    if (!secrets_hash(bytes_of(password, sizeof password), hash)) return false;
    a->fake_hash_bytes = (uint32_t)strlen(hash);
    memcpy(a->fake_hash, hash, a->fake_hash_bytes);
    return true;
}

static enum err setup(struct process *p)
{
    static struct authd state;
    struct authd *a = &state;
    a->process = p;
    a->config = process_config(p);
    a->ring = process_ring(p);
    process_set_state(p, a);
    const struct config_auth *auths = CONFIG_ITEMS(a->config, a->config->auths, struct config_auth);
    enum err e = guesses_init(&a->guesses, hash_key_random());
    for (uint16_t i = 0; i < a->config->auths.count && e == ERR_NONE; i++) {
        a->blocks[i].config = &auths[i];
        e = dovecot_init(a, i);
    }
    if (e == ERR_NONE && (!warm_up() || !make_fakes(a))) e = ERR_UNSUPPORTED;
    if (e == ERR_NONE) e = crypting_init(&a->crypting);
    if (e == ERR_NONE) e = ring_watch(a->ring, a->crypting.event_fd, (struct ring_token){.kind = TOKEN_CRYPTING});
    if (e != ERR_NONE) log_err(LOG_LEVEL_FATAL, "cannot start", BYTES("authd"), e);
    return e;
}

static void event(struct process *p, const struct ring_event *e)
{
    struct authd *a = authd_of(p);
    if (e->token.kind == TOKEN_CRYPTING) crypting_collect(&a->crypting, exchange_crypted, a);
    else dovecot_event(a, e);
}

static void turn(struct process *p)
{
    struct authd *a = authd_of(p);
    if (!process_draining(p)) dovecot_turn(a);
    exchanges_turn(a);
}

static uint64_t deadline(struct process *p)
{
    uint64_t one = exchanges_deadline(authd_of(p)), other = process_draining(p) ? UINT64_MAX : dovecot_deadline(authd_of(p));
    return one < other ? one : other;
}

static void channel_open(struct process *p, struct ipc_channel *c)
{
    (void)p;
    (void)c;
}

static void channel_gone(struct process *p, struct ipc_channel *c)
{
    if (ipc_peer(c) == ROLE_RECEIVER) exchanges_receiver_gone(authd_of(p), ipc_peer_index(c));
}

const struct role role_authd = {
    .id = ROLE_AUTHD,
    .plain_engine = true,
    .ring = {.receive_buffers = RECEIVE_BUFFERS, .receive_buffer_bytes = RECEIVE_BUFFER_BYTES, .sends = true},
    .starts_threads = true,
    .setup = setup,
    .event = event,
    .turn = turn,
    .deadline = deadline,
    .message = authd_message,
    .channel_open = channel_open,
    .channel_gone = channel_gone,
};
