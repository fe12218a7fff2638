/*
 * srs - the Sender Rewriting Scheme of this site: smtp/srs.h with its secrets, which come from the master and are in no other process.
 */
#include <assert.h>
#include <string.h>

#include "base/sha1.h"
#include "mta/manager/aliases.h"
#include "mta/process/dispatch.h"
#include "smtp/srs.h"

enum { SECRETS_MAX = 8 }; /* the one in use, and those before it that bounces may still come back to */

static struct {
    uint8_t memory[SRS_SECRETS_BYTES_MAX];
    struct bytes secrets[SECRETS_MAX];
    uint32_t count;
} site;

static bool mac(const void *context, uint32_t n, struct bytes in, uint8_t out[SMTP_SRS_MAC_BYTES])
{
    (void)context;
    static_assert((int)SHA1_BYTES == (int)SMTP_SRS_MAC_BYTES, "the MAC is HMAC-SHA-1");
    if (n >= site.count) return false;
    hmac_sha1(site.secrets[n], in, out);
    return true;
}

void manager_on_srs_secrets(struct process *p, struct ipc_channel *from, const struct ipc_srs_secrets *m, int fd)
{
    (void)p;
    (void)from;
    (void)fd;
    struct bytes rest;
    memcpy(site.memory, m->secrets.ptr, m->secrets.len);
    rest = bytes_of(site.memory, m->secrets.len);
    site.count = 0;
    while (rest.len > 0 && site.count < SECRETS_MAX) {
        uint32_t end = bytes_find(rest, '\n');
        struct bytes line = bytes_trim(bytes_slice(rest, 0, end));
        if (line.len > 0 && line.ptr[0] != '#') site.secrets[site.count++] = line;
        rest = bytes_from(rest, end + 1);
    }
}

bool srs_is_awaited(const struct manager *m)
{
    return m->config->srs.domain.len > 0 && site.count == 0;
}

static struct smtp_srs scheme(const struct manager *m)
{
    return (struct smtp_srs){
        .mac = mac, .secret_count = site.count, .domain = config_bytes(m->config, m->config->srs.domain), .hash_chars = SMTP_SRS_HASH_CHARS_MIN,
        .age_days = SMTP_SRS_AGE_DAYS,
    };
}

struct bytes srs_forward(const struct manager *m, struct bytes sender, struct smtp_address *out)
{
    struct smtp_address address;
    struct smtp_srs srs = scheme(m);
    if (srs.domain.len == 0 || srs.secret_count == 0 || smtp_mailbox_parse(sender, true, &address) != SMTP_ADDRESS_OK) return sender;
    return smtp_srs_forward(&srs, &address, process_now_wall_us(m->process) / 1000000, out) == SMTP_SRS_DONE ? out->whole : sender;
}

enum expand_answer srs_reverse(const struct manager *m, struct bytes rcpt, struct smtp_address *out)
{
    struct smtp_address address;
    struct smtp_srs srs = scheme(m);
    if (!expand_is_srs(m->config, rcpt)) return EXPAND_NONE;
    if (srs.secret_count == 0 || smtp_mailbox_parse(rcpt, true, &address) != SMTP_ADDRESS_OK) return EXPAND_BAD;
    return smtp_srs_reverse(&srs, &address, process_now_wall_us(m->process) / 1000000, out) == SMTP_SRS_DONE ? EXPAND_DONE : EXPAND_FORGED;
}
