/*
 * crashes - records of deaths that were somebody's doing: kept in the queue's folder, a file each, as many as CRASHES_MAX; shown by mtactl.
 *
 * They are also held in memory, so that showing them reads nothing. A file that does not agree with its checksum is left out and removed in its turn.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "mta/manager/boxes.h"

enum {
    CRASHES_MAX = 200,
    CRASH_NAME_BYTES = 32,
    CRASH_FILE_BYTES_MAX = 4096,
    CRASH_MAGIC = 0x3253524b, /* "KRS2" */
    CRASH_NAMED = 1, CRASH_RELEASED = 2,
};

struct kept {
    uint64_t number;          /* 0 = free */
    struct crash c;           /* host and bytes point below */
    uint8_t host[HOST_NAME_BYTES_MAX];
    uint8_t bytes[BOX_BYTES_MAX];
};

static struct kept *kept;     /* CRASHES_MAX; place = number % CRASHES_MAX */
static uint64_t last_number, since_start;
static uint32_t record_count;
static int folder = -1;

static void name_of(uint64_t number, char name[CRASH_NAME_BYTES]) { snprintf(name, CRASH_NAME_BYTES, "%08llu", (unsigned long long)number); }

/* ---- files ---- */

static void encode(struct buf *out, uint64_t number, const struct crash *c)
{
    buf_put_le(out, CRASH_MAGIC, 4);
    buf_put_le(out, number, 8);
    buf_put_le(out, (uint64_t)c->when_wall_us, 8);
    buf_put_c(out, c->role);
    buf_put_le(out, c->index, 2);
    buf_put_le(out, c->pid, 4);
    buf_put_le(out, c->epoch, 4);
    buf_put_c(out, c->signal);
    buf_put_c(out, c->by_master);
    buf_put_c(out, c->step);
    buf_put_c(out, c->found);
    buf_put_c(out, c->rule);
    buf_put_c(out, (c->named ? CRASH_NAMED : 0) | (c->released ? CRASH_RELEASED : 0));
    buf_put_le(out, c->attempt, 8);
    buf_put_le(out, c->message.v, 8);
    buf_put_c(out, c->remote.family);
    buf_put(out, bytes_of(c->remote.ip, sizeof c->remote.ip));
    buf_put_le(out, c->remote.port, 2);
    buf_put_le(out, c->suspects, 4);
    buf_put_le(out, c->host.len, 2);
    buf_put(out, c->host);
    buf_put_le(out, c->bytes.len, 2);
    buf_put(out, c->bytes);
    buf_put_le(out, crc32c(0, buf_bytes(out)), 4);
}

static bool decode(struct bytes in, uint64_t *number, struct crash *c)
{
    struct cursor at = cursor_over(in);
    if (in.len < 4 || cursor_le(&at, 4) != CRASH_MAGIC) return false;
    struct cursor sum = cursor_over(bytes_from(in, in.len - 4));
    if (cursor_le(&sum, 4) != crc32c(0, bytes_slice(in, 0, in.len - 4))) return false;
    *number = cursor_le(&at, 8);
    c->when_wall_us = (int64_t)cursor_le(&at, 8);
    c->role = (uint8_t)cursor_le(&at, 1);
    c->index = (uint16_t)cursor_le(&at, 2);
    c->pid = (uint32_t)cursor_le(&at, 4);
    c->epoch = (uint32_t)cursor_le(&at, 4);
    c->signal = (uint8_t)cursor_le(&at, 1);
    c->by_master = (uint8_t)cursor_le(&at, 1);
    c->step = (uint8_t)cursor_le(&at, 1);
    c->found = (uint8_t)cursor_le(&at, 1);
    c->rule = (uint8_t)cursor_le(&at, 1);
    uint64_t flags = cursor_le(&at, 1);
    c->named = flags & CRASH_NAMED;
    c->released = flags & CRASH_RELEASED;
    c->attempt = cursor_le(&at, 8);
    c->message.v = cursor_le(&at, 8);
    c->remote.family = (uint8_t)cursor_le(&at, 1);
    struct bytes ip = cursor_take(&at, sizeof c->remote.ip);
    if (ip.len) memcpy(c->remote.ip, ip.ptr, ip.len);
    c->remote.port = (uint16_t)cursor_le(&at, 2);
    c->suspects = (uint32_t)cursor_le(&at, 4);
    c->host = cursor_take(&at, (uint32_t)cursor_le(&at, 2));
    c->bytes = cursor_take(&at, (uint32_t)cursor_le(&at, 2));
    return !at.failed && cursor_left(&at) == 4 && c->role < ROLE_COUNT && c->step < STEP_COUNT && c->found < FOUND_COUNT && c->rule < RULE_COUNT;
}

static void keep(uint64_t number, const struct crash *c)
{
    struct kept *k = &kept[number % CRASHES_MAX];
    if (!k->number) record_count++;
    k->number = number;
    k->c = *c;
    k->c.host.len = c->host.len < sizeof k->host ? c->host.len : (uint32_t)sizeof k->host;
    k->c.bytes.len = c->bytes.len < sizeof k->bytes ? c->bytes.len : (uint32_t)sizeof k->bytes;
    if (k->c.host.len) memcpy(k->host, c->host.ptr, k->c.host.len);
    if (k->c.bytes.len) memcpy(k->bytes, c->bytes.ptr, k->c.bytes.len);
    k->c.host.ptr = k->host;
    k->c.bytes.ptr = k->bytes;
    if (number > last_number) last_number = number;
}

static void load(const char *name)
{
    uint8_t memory[CRASH_FILE_BYTES_MAX];
    struct crash c = {0};
    uint64_t number = 0;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return;
    ssize_t n = read(fd, memory, sizeof memory);
    close(fd);
    if (n > 0 && decode(bytes_of(memory, (uint32_t)n), &number, &c) && number && kept[number % CRASHES_MAX].number < number) keep(number, &c);
}

/* ---- who was convicted stays so over a restart ---- */

static bool side_of(const struct crash *c, enum quarantine_side *side)
{
    *side = c->role == ROLE_RECEIVER ? QUARANTINE_CLIENTS : QUARANTINE_REMOTES;
    return c->named && (c->role == ROLE_RECEIVER || c->role == ROLE_DELIVER);
}

/* recall - charge again who is named in records and was not let go since, as of then. */
static void recall(const struct manager *m)
{
    uint64_t now_ms = process_now_ms(m->process), number = 0;
    int64_t now_us = process_now_wall_us(m->process);
    enum quarantine_side side;
    for (const struct crash *c = crash_at(0, &number); c; c = crash_at(number, &number)) {
        uint64_t age_ms = c->when_wall_us < now_us ? (uint64_t)(now_us - c->when_wall_us) / 1000 : 0;
        if (age_ms >= QUARANTINE_CONVICT_MS || !side_of(c, &side)) continue;
        if (!c->released) (void)quarantine_charge(side, &c->remote, true, age_ms < now_ms ? now_ms - age_ms : 0);
        if (c->message.v && (c->step == STEP_BODY || c->step == STEP_DOT)) (void)quarantine_content(c->message, &c->remote);
    }
    uint32_t apart = quarantine_count(QUARANTINE_REMOTES) + quarantine_count(QUARANTINE_CLIENTS);
    if (!apart) return;
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "quarantine: ");
    buf_put_u64(line, apart);
    BUF_LIT(line, " hosts that have killed processes before this start are served alone (mtactl crash list)");
    log_end();
}

void crashes_open(struct manager *m)
{
    kept = calloc(CRASHES_MAX, sizeof *kept);
    if (mkdirat(m->folder_fd, "crash", 0700) == 0 || errno == EEXIST)
        folder = openat(m->folder_fd, "crash", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int again = folder >= 0 ? openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *all = again >= 0 ? fdopendir(again) : NULL;
    if (!kept || !all) {
        log_text(LOG_LEVEL_WARNING, "records of crashes cannot be kept in the queue folder");
        return;
    }
    for (const struct dirent *e = readdir(all); e; e = readdir(all))
        if (ascii_is_digit((uint8_t)e->d_name[0])) load(e->d_name);
    closedir(all);
    recall(m);
}

static void store(uint64_t number, const struct crash *c)
{
    uint8_t memory[CRASH_FILE_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    char name[CRASH_NAME_BYTES], old[CRASH_NAME_BYTES];
    encode(&out, number, c);
    name_of(number, name);
    if (number > CRASHES_MAX) {
        name_of(number - CRASHES_MAX, old);
        (void)unlinkat(folder, old, 0);
    }
    int fd = openat(folder, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool whole = fd >= 0 && !out.overflow && write(fd, out.ptr, out.len) == (ssize_t)out.len;
    if (fd >= 0) close(fd);
    if (!whole || renameat(folder, "new", folder, name) != 0) log_err(LOG_LEVEL_WARNING, "a crash record could not be stored", bytes_of_cstr(name), err_from_errno(errno));
}

/* ---- telling ---- */

static void put_remote(struct buf *out, const struct crash *c)
{
    if (c->host.len) log_bytes(out, c->host);
    buf_put_c(out, '[');
    net_print_ip(out, &c->remote);
    buf_put_c(out, ']');
}

static const char *const rule_words[RULE_COUNT] = {
    [RULE_NOTHING] = "no mail was concerned", [RULE_RETRY] = "given to another worker", [RULE_DEFER] = "deferred", [RULE_COMMIT] = "delivered",
    [RULE_REREAD] = "decided by reading the answer again", [RULE_MAYBE_DUPLICATE] = "deferred, maybe_duplicate",
    [RULE_EACH] = "by LMTP: each recipient as his own answer said, others deferred, maybe_duplicate",
};

static void say(uint64_t number, const struct crash *c)
{
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: crash: number=");
    buf_put_u64(line, number);
    BUF_LIT(line, " process=");
    buf_put_cstr(line, ipc_role_name((enum ipc_role)c->role));
    buf_put_c(line, '/');
    buf_put_u64(line, c->index);
    BUF_LIT(line, " pid=");
    buf_put_u64(line, c->pid);
    BUF_LIT(line, " signal=");
    buf_put_u64(line, c->signal);
    BUF_LIT(line, " remote=");
    if (c->named) put_remote(line, c);
    else BUF_LIT(line, "unknown");
    if (!c->named) {
        BUF_LIT(line, " suspects=");
        buf_put_u64(line, c->suspects);
    }
    BUF_LIT(line, " step=");
    buf_put_c(line, '"');
    buf_put_cstr(line, mail_step_text((enum mail_step)c->step));
    buf_put_c(line, '"');
    if (c->message.v) {
        BUF_LIT(line, " message=");
        message_id_print(line, c->message);
        BUF_LIT(line, " (");
        buf_put_cstr(line, rule_words[c->rule]);
        buf_put_c(line, ')');
    }
    log_end();
}

void crash_record(struct manager *m, const struct crash *c)
{
    (void)m;
    uint64_t number = last_number + 1;
    since_start++;
    say(number, c);
    if (!kept) {
        last_number = number;
        return;
    }
    keep(number, c);
    if (folder >= 0) store(number, c);
}

bool crash_known(const struct ipc_died *how)
{
    for (uint32_t i = 0; kept && i < CRASHES_MAX; i++) {
        const struct crash *c = &kept[i].c;
        if (kept[i].number && c->role == how->role && c->index == how->index && c->epoch == how->epoch) return true;
    }
    return false;
}

void crashes_release(enum quarantine_side side, const struct net_address *remote)
{
    enum quarantine_side of;
    for (uint32_t i = 0; kept && i < CRASHES_MAX; i++) {
        struct crash *c = &kept[i].c;
        if (!kept[i].number || c->released || !side_of(c, &of) || of != side || !quarantine_same(side, &c->remote, remote)) continue;
        c->released = true;
        if (folder >= 0) store(kept[i].number, c);
    }
}

void crashes_status(struct buf *out)
{
    json_open(out, "crashes", '{');
    json_u64(out, "records", record_count);
    json_u64(out, "since_start", since_start);
    json_u64(out, "last", last_number);
    json_u64(out, "quarantined", quarantine_count(QUARANTINE_REMOTES));
    json_u64(out, "clients_quarantined", quarantine_count(QUARANTINE_CLIENTS));
    json_close(out, '}');
}

const struct crash *crash_at(uint64_t after, uint64_t *number)
{
    const struct kept *best = NULL;
    for (uint32_t i = 0; kept && i < CRASHES_MAX; i++)
        if (kept[i].number > after && (!best || kept[i].number < best->number)) best = &kept[i];
    if (!best) return NULL;
    *number = best->number;
    return &best->c;
}

void crash_row(struct buf *out, uint64_t number, const struct crash *c, bool all)
{
    uint8_t memory[4 * BOX_BYTES_MAX + 8];
    struct buf text = BUF_OVER(memory);
    json_open(out, NULL, '{');
    json_u64(out, "number", number);
    json_i64(out, "time", c->when_wall_us / 1000000);
    json_cstr(out, "process", ipc_role_name((enum ipc_role)c->role));
    json_u64(out, "index", c->index);
    json_u64(out, "pid", c->pid);
    json_u64(out, "signal", c->signal);
    json_bool(out, "hung", c->by_master == 1);
    json_bool(out, "named", c->named);
    json_text(out, "remote_name", c->host);
    if (c->remote.family) net_print_ip(&text, &c->remote);
    json_text(out, "remote_address", buf_bytes(&text));
    json_u64(out, "suspects", c->suspects);
    json_cstr(out, "step", mail_step_text((enum mail_step)c->step));
    json_cstr(out, "phase", box_found_name((enum box_found)c->found));
    json_u64(out, "attempt", c->attempt);
    text.len = 0;
    if (c->message.v) message_id_print(&text, c->message);
    json_text(out, "queue_id", buf_bytes(&text));
    json_cstr(out, "mail", rule_words[c->rule]);
    json_u64(out, "octets_count", c->bytes.len);
    if (all) {
        text.len = 0;
        buf_put_escaped(&text, c->bytes, BOX_BYTES_MAX);
        json_text(out, "octets", buf_bytes(&text));
        text.len = 0;
        for (uint32_t i = 0; i < c->bytes.len; i++) buf_put_hex(&text, c->bytes.ptr[i], 2);
        json_text(out, "octets_hex", buf_bytes(&text));
    }
    json_close(out, '}');
}

bool crash_remove(uint64_t number)
{
    char name[CRASH_NAME_BYTES];
    struct kept *k = kept ? &kept[number % CRASHES_MAX] : NULL;
    if (!k || !number || k->number != number) return false;
    name_of(number, name);
    if (folder >= 0) (void)unlinkat(folder, name, 0);
    *k = (struct kept){0};
    record_count--;
    return true;
}
