/*
 * greylist
 *
 * Purpose      Remembers first attempts to deliver and clients that have proved good, and says whether an attempt passes
 * Runs as      _mta-greylist; one process, when a rules block has greylisting on
 * Inherits     control channel, configuration, log, the greylist's folder
 * Talks to     receiver: GREY_ASK in, GREY_SAID out
 * May do       files in its folder: append, sync, read, and one rename when the file is written anew
 * Holds        half a million entries (12 MiB)
 * If it dies   receivers let pass what it has not answered; the next one reads the file
 * If a peer lies  a receiver can make entries, and see whether one is there; senders and recipients are hashed with the file's secret and kept nowhere
 */
#include "base/log.h"
#include "mta/greylist/file.h"
#include "mta/process/dispatch.h"
#include "smtp/greylist.h"

enum { SYNC_EVERY_MS = 1000, TELL_EVERY_MS = 60 * 1000 };

struct greylist {
    struct process *process;
    const struct config *config;
    struct greys greys;
    struct grey_file file;
    struct grey_times times;
    uint64_t sync_ms;       /* when what was appended is synced; 0 = nothing was */
    uint64_t told_ms;       /* when the disk's failure was told of last */
};

static struct greylist *state_of(struct process *p) { return process_state(p); }

PROCESS_DISPATCH(greylist)

static void complain(struct greylist *g, enum err e)
{
    uint64_t now = process_now_ms(g->process);
    if (g->told_ms != 0 && now - g->told_ms < TELL_EVERY_MS) return;
    g->told_ms = now;
    log_err(LOG_LEVEL_WARNING, "warning: the greylist cannot be written; it is kept in memory", BYTES("greylist"), e);
}

static uint64_t hash_of(const struct greylist *g, uint8_t kind, struct bytes text)
{
    uint8_t memory[SMTP_GREYLIST_KEY_BYTES_MAX + 1];
    struct buf key = BUF_OVER(memory);
    buf_put_c(&key, kind);
    buf_put(&key, text);
    uint64_t hash = hash_bytes(g->file.key, buf_bytes(&key));
    return hash != 0 ? hash : 1;
}

static struct grey_verdict judge(struct greylist *g, const struct ipc_grey_ask *m)
{
    uint8_t client_text[NET_TEXT_BYTES_MAX + 8], triplet_text[SMTP_GREYLIST_KEY_BYTES_MAX];
    struct buf client = BUF_OVER(client_text), triplet = BUF_OVER(triplet_text);
    smtp_greylist_client(&client, &m->client, g->config->greylist.ipv4_bits, g->config->greylist.ipv6_bits);
    smtp_greylist_key(&triplet, &m->client, g->config->greylist.ipv4_bits, g->config->greylist.ipv6_bits, m->sender, m->rcpt);
    uint32_t now_s = (uint32_t)(process_now_wall_us(g->process) / 1000000);
    return greys_judge(&g->greys, hash_of(g, 'c', buf_bytes(&client)), hash_of(g, 't', buf_bytes(&triplet)), now_s, &g->times, m->peek);
}

void greylist_on_grey_ask(struct process *p, struct ipc_channel *from, const struct ipc_grey_ask *m, int fd)
{
    (void)fd;
    struct greylist *g = state_of(p);
    struct ipc_grey_said answer = {.request = m->request};
    if (m->client.family == NET_NONE) {
        process_violation(p, from, "a question about nobody");
        return;
    }
    struct grey_verdict v = judge(g, m);
    answer.pass = v.pass;
    answer.known_client = v.known_client;
    answer.wait_s = v.wait_s;
    enum err e = grey_file_append(&g->file, v.changed, 2);
    if (e != ERR_NONE) complain(g, e);
    if (g->file.unsynced && g->sync_ms == 0) g->sync_ms = process_now_ms(p) + SYNC_EVERY_MS;
    if (ipc_send_grey_said(from, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}

static enum err setup(struct process *p)
{
    static struct greylist state;
    struct greylist *g = &state;
    g->process = p;
    g->config = process_config(p);
    process_set_state(p, g);
    g->times = (struct grey_times){(uint32_t)g->config->greylist.delay_s, (uint32_t)g->config->greylist.window_s, (uint32_t)g->config->greylist.keep_s,
                                   g->config->greylist.clients};
    enum err e = greys_init(&g->greys);
    if (e != ERR_NONE) return e;
    uint32_t damaged;
    e = grey_file_open(&g->file, process_folder(p, 0), &g->greys, &damaged);
    if (e != ERR_NONE) complain(g, e);
    if (damaged > 0) log_text(LOG_LEVEL_WARNING, "the greylist's file was damaged; what could be read of it is used");
    return ERR_NONE;
}

static void event(struct process *p, const struct ring_event *e)
{
    (void)p;
    (void)e;
}

static void turn(struct process *p)
{
    struct greylist *g = state_of(p);
    if (g->sync_ms == 0 || process_now_ms(p) < g->sync_ms) return;
    g->sync_ms = 0;
    enum err e = grey_file_sync(&g->file);
    if (e == ERR_NONE && grey_file_wants_rewrite(&g->file, &g->greys))
        e = grey_file_rewrite(&g->file, &g->greys, (uint32_t)(process_now_wall_us(p) / 1000000), &g->times);
    if (e != ERR_NONE) complain(g, e);
}

static uint64_t deadline(struct process *p)
{
    return state_of(p)->sync_ms ? state_of(p)->sync_ms : UINT64_MAX;
}

static void configured(struct process *p) { state_of(p)->config = process_config(p); }

static void channel(struct process *p, struct ipc_channel *c)
{
    (void)p;
    (void)c;
}

/* drain - nothing is in hand; what was appended is synced. */
static bool drain(struct process *p, bool time_is_up)
{
    (void)time_is_up;
    enum err e = grey_file_sync(&state_of(p)->file);
    if (e != ERR_NONE) complain(state_of(p), e);
    return true;
}

const struct role role_greylist = {
    .id = ROLE_GREYLIST,
    .plain_engine = true,
    .setup = setup,
    .configured = configured,
    .event = event,
    .turn = turn,
    .deadline = deadline,
    .message = greylist_message,
    .channel_open = channel,
    .channel_gone = channel,
    .drain = drain,
};
