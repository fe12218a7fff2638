/*
 * keyholder
 *
 * Purpose      Has the private keys of TLS, and signs with them for receivers, which never see one; makes the secrets of session tickets
 * Runs as      _mta-keyholder; empty root, no files, no sockets but its channels. There is none when no tls block is configured
 * Inherits     control channel, configuration, log
 * Talks to     master: KEYS (a memory file, wiped when it is read) in; KEYS_READ out      receiver: SIGN in; SIGNATURE, TICKETS out
 * May do       nothing but answer
 * Holds        the keys of the configuration, and those of the generation before, for handshakes that have begun; two secrets for tickets
 * Exceptions   OpenSSL allocates after lock-down
 * If it dies   TLS cannot be begun until it is there again, with the same keys and other ticket secrets: clients are told 454, sessions go on
 * If a peer lies  a receiver gets signatures and nothing else: of digests for ECDSA, of blocks that have the form of a signature for RSA, so many a second
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/process/dispatch.h"
#include "mta/tls/keys.h"

enum {
    /* What one receiver may ask for in a second: more than its core makes of handshakes, so that only one that has been taken over gets there. */
    SIGNATURES_PER_SECOND = 5000,
    TICKET_EVERY_MS = 4 * 3600 * 1000, /* a new secret; the one before is good for as long again */
    EXPIRY_EVERY_MS = 24 * 3600 * 1000,
    EXPIRY_WARN_S = 14 * 24 * 3600,    /* automatic renewal has failed by then */
    DAY_S = 24 * 3600,
};

struct key_set {
    struct tls_key *keys[TLS_CERTIFICATES_ALL_MAX];
    uint32_t count;
};

struct budget { uint64_t second; uint32_t used; };

struct keyholder {
    const struct config *config;
    struct key_set sets[2];      /* now, and the generation before */
    uint8_t secrets[2][TLS_TICKET_SECRET_BYTES];
    uint32_t secret_count;
    uint64_t rotate_ms, expiry_ms;
    struct budget budgets[ROLE_INSTANCES_MAX];
};

PROCESS_DISPATCH(keyholder)

static struct keyholder *state_of(struct process *p) { return process_state(p); }

static void set_free(struct key_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) tls_key_free(set->keys[i]);
    *set = (struct key_set){0};
}

/* chain_path - the path of certificate number `n` of all tls blocks. */
static struct bytes chain_path(const struct config *c, uint32_t n)
{
    const struct config_tls *tls = CONFIG_ITEMS(c, c->tls, struct config_tls);
    for (uint32_t i = 0; tls && i < c->tls.count; i++) {
        if (n < tls[i].certificate_count) return config_bytes(c, tls[i].certificates[n].chain);
        n -= tls[i].certificate_count;
    }
    return (struct bytes){0};
}

/* ---- expiry ---- */

static void say_expiry(struct process *p, const struct key_set *set)
{
    const struct keyholder *k = state_of(p);
    int64_t now_s = process_now_wall_us(p) / 1000000;
    for (uint32_t i = 0; i < set->count; i++) {
        int64_t left_s = tls_key_ends_s(set->keys[i]) - now_s;
        if (left_s >= EXPIRY_WARN_S) continue;
        struct buf *line = log_begin(LOG_LEVEL_WARNING);
        BUF_LIT(line, "warning: certificate ");
        log_bytes(line, chain_path(k->config, i));
        if (left_s < 0) {
            BUF_LIT(line, " has expired");
        } else {
            BUF_LIT(line, " expires in ");
            buf_put_i64(line, left_s / DAY_S);
            BUF_LIT(line, " days");
        }
        log_end();
    }
}

/* ---- keys ---- */

/* take - a text behind its length; false when it is cut off. */
static bool take(struct bytes *from, uint32_t most, struct bytes *text)
{
    if (from->len < 4) return false;
    uint32_t n = (uint32_t)from->ptr[0] | (uint32_t)from->ptr[1] << 8 | (uint32_t)from->ptr[2] << 16 | (uint32_t)from->ptr[3] << 24;
    if (n > most || n > from->len - 4) return false;
    *text = bytes_slice(*from, 4, n);
    *from = bytes_from(*from, 4 + n);
    return true;
}

static void say_key(const struct config *c, uint32_t n, struct bytes words)
{
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "certificate ");
    log_bytes(line, chain_path(c, n));
    BUF_LIT(line, ": ");
    log_bytes(line, words);
    log_end();
}

/* read_set - every key, or none and what is wrong. */
static bool read_set(const struct keyholder *k, struct bytes from, uint32_t count, struct key_set *set, struct buf *text)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t memory[400];
        struct buf words = BUF_OVER(memory);
        struct bytes chain, key;
        if (!take(&from, TLS_CHAIN_BYTES_MAX, &chain) || !take(&from, TLS_KEY_BYTES_MAX, &key)) {
            BUF_LIT(text, "certificates and keys came incomplete");
            return false;
        }
        enum err e = tls_key_read(&set->keys[i], chain, key, &words);
        if (e == ERR_NONE) {
            set->count++;
            say_key(k->config, i, buf_bytes(&words));
            continue;
        }
        BUF_LIT(text, "certificate ");
        buf_put_escaped(text, chain_path(k->config, i), 200);
        BUF_LIT(text, ": ");
        buf_put(text, words.len > 0 ? buf_bytes(&words) : bytes_of_cstr(err_text(e)));
        return false;
    }
    return true;
}

void keyholder_on_keys(struct process *p, struct ipc_channel *from, const struct ipc_keys *m, int fd)
{
    struct keyholder *k = state_of(p);
    uint8_t memory[500];
    struct buf text = BUF_OVER(memory);
    struct key_set set = {0};
    struct stat st;
    bool good = false;
    uint8_t *file = fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= UINT32_MAX
        ? mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (file == MAP_FAILED || m->count > TLS_CERTIFICATES_ALL_MAX) {
        BUF_LIT(&text, "the keys cannot be taken over: no memory");
    } else {
        good = read_set(k, bytes_of(file, (uint32_t)st.st_size), m->count, &set, &text);
    }
    if (file != MAP_FAILED) {
        explicit_bzero(file, (size_t)st.st_size);
        munmap(file, (size_t)st.st_size);
    }
    close(fd);
    if (good) {
        set_free(&k->sets[1]);
        k->sets[1] = k->sets[0];
        k->sets[0] = set;
        say_expiry(p, &set);
        k->expiry_ms = process_now_ms(p) + EXPIRY_EVERY_MS;
    } else {
        set_free(&set);
    }
    struct ipc_keys_read answer = {.generation = m->generation, .good = good, .text = buf_bytes(&text)};
    if (ipc_send_keys_read(from, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_ERROR, "error: the master does not take news of the keys");
}

static struct tls_key *find(const struct keyholder *k, uint64_t id)
{
    for (uint32_t s = 0; s < 2; s++) {
        for (uint32_t i = 0; i < k->sets[s].count; i++) {
            if (tls_key_id(k->sets[s].keys[i]) == id) return k->sets[s].keys[i];
        }
    }
    return NULL;
}

static bool within_budget(struct process *p, struct ipc_channel *from)
{
    struct budget *b = &state_of(p)->budgets[ipc_peer_index(from)];
    uint64_t second = process_now_ms(p) / 1000;
    if (b->second != second) *b = (struct budget){.second = second};
    if (b->used++ == SIGNATURES_PER_SECOND)
        log_text(LOG_LEVEL_WARNING, "warning: a receiver asks for more signatures than it can need; it gets no more for a second");
    return b->used <= SIGNATURES_PER_SECOND;
}

void keyholder_on_sign(struct process *p, struct ipc_channel *from, const struct ipc_sign *m, int fd)
{
    (void)fd;
    uint8_t memory[TLS_SIGNATURE_BYTES_MAX];
    struct buf signature = BUF_OVER(memory);
    struct tls_key *key = find(state_of(p), m->key);
    bool good = key && within_budget(p, from) && tls_key_sign(key, (enum tls_key_kind)m->kind, m->octets, &signature);
    struct ipc_signature answer = {.request = m->request, .good = good, .octets = good ? buf_bytes(&signature) : (struct bytes){0}};
    if (ipc_send_signature(from, &answer, -1) != ERR_NONE) process_violation(p, from, "it does not take its signatures");
}

/* ---- tickets ---- */

static void give_tickets(struct process *p, struct ipc_channel *to)
{
    const struct keyholder *k = state_of(p);
    struct ipc_tickets m = {.current = bytes_of(k->secrets[0], TLS_TICKET_SECRET_BYTES)};
    if (k->secret_count > 1) m.previous = bytes_of(k->secrets[1], TLS_TICKET_SECRET_BYTES);
    if (to && ipc_send_tickets(to, &m, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "warning: a receiver does not take the secrets of tickets");
}

static bool new_secret(struct process *p)
{
    struct keyholder *k = state_of(p);
    memcpy(k->secrets[1], k->secrets[0], TLS_TICKET_SECRET_BYTES);
    if (getrandom(k->secrets[0], TLS_TICKET_SECRET_BYTES, 0) != TLS_TICKET_SECRET_BYTES) return false;
    if (k->secret_count < 2) k->secret_count++;
    k->rotate_ms = process_now_ms(p) + TICKET_EVERY_MS;
    return true;
}

static void turn(struct process *p)
{
    struct keyholder *k = state_of(p);
    uint64_t now = process_now_ms(p);
    if (now >= k->expiry_ms) {
        say_expiry(p, &k->sets[0]);
        k->expiry_ms = now + EXPIRY_EVERY_MS;
    }
    if (now < k->rotate_ms || !new_secret(p)) return;
    for (uint16_t i = 0; i < process_instances(p, ROLE_RECEIVER); i++) give_tickets(p, process_channel(p, ROLE_RECEIVER, i));
}

static uint64_t deadline(struct process *p)
{
    const struct keyholder *k = state_of(p);
    return k->rotate_ms < k->expiry_ms ? k->rotate_ms : k->expiry_ms;
}

/* ---- life ---- */

static enum err setup(struct process *p)
{
    static struct keyholder k;
    k.config = process_config(p);
    process_set_state(p, &k);
    k.expiry_ms = process_now_ms(p) + EXPIRY_EVERY_MS;
    enum err e = tls_init();
    if (e == ERR_NONE && !new_secret(p)) e = ERR_SYSTEM;
    if (e != ERR_NONE) log_err(LOG_LEVEL_FATAL, "cannot start", BYTES("keyholder"), e);
    return e;
}

static void on_channel_open(struct process *p, struct ipc_channel *c)
{
    if (ipc_peer(c) == ROLE_RECEIVER) give_tickets(p, c);
}

static void on_channel_gone(struct process *p, struct ipc_channel *c)
{
    (void)p;
    (void)c;
}

const struct role role_keyholder = {
    .id = ROLE_KEYHOLDER,
    .plain_engine = true,
    .ring = {.entries = 64},
    .memory_bytes = 512ULL * 1024 * 1024, /* keys are small; the channels' queues are the most */
    .setup = setup,
    .turn = turn,
    .deadline = deadline,
    .message = keyholder_message,
    .channel_open = on_channel_open,
    .channel_gone = on_channel_gone,
};
