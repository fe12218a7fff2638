/*
 * rewrite - see smtp/rewrite.h.
 */
#include "smtp/rewrite.h"

#include "base/must.h"

/* split - at the '@'; false when there is no one, or nothing on a side. */
static bool split(struct bytes text, struct bytes *local, struct bytes *domain)
{
    uint32_t at = bytes_find_last(text, '@');
    *local = bytes_slice(text, 0, at);
    *domain = bytes_from(text, at + 1);
    return local->len > 0 && domain->len > 0;
}

/* local_valid - one that an address can have without quotes. */
static bool local_valid(struct bytes local)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    struct smtp_address address;
    buf_put(&text, local);
    BUF_LIT(&text, "@a");
    if (text.overflow || local.ptr[0] == '"') return false;
    return smtp_mailbox_parse(buf_bytes(&text), true, &address) == SMTP_ADDRESS_OK && bytes_equal(address.local, local);
}

bool smtp_rewrite_parse(struct bytes pattern, struct bytes target, struct smtp_rewrite *out)
{
    struct smtp_rewrite rule = {0};
    struct bytes star = BYTES("*");
    if (!split(pattern, &rule.from_local, &rule.from_domain) || !split(target, &rule.to_local, &rule.to_domain)) return false;
    bool any = bytes_equal(rule.from_local, star), same = bytes_equal(rule.to_local, star);
    if ((!any && !local_valid(rule.from_local)) || (!same && !local_valid(rule.to_local))) return false;
    if (same && !any) return false; /* a star that stands for nothing: the same local part is to be written out */
    if (bytes_starts(rule.from_domain, BYTES("*."))) {
        rule.subdomains = true;
        rule.from_domain = bytes_from(rule.from_domain, 1);
    }
    struct bytes name = bytes_from(rule.from_domain, rule.subdomains ? 1 : 0);
    if (!smtp_domain_valid(name, true) && (rule.subdomains || !smtp_literal_valid(name))) return false;
    if (!smtp_domain_valid(rule.to_domain, true)) return false;
    if (any) rule.from_local = BYTES("");
    if (same) rule.to_local = BYTES("");
    *out = rule;
    return true;
}

static bool matches(const struct smtp_rewrite *rule, const struct smtp_address *in)
{
    if (in->domain.len == 0) return false;
    if (rule->from_local.len > 0 && !bytes_equal_nocase(rule->from_local, in->local)) return false;
    if (rule->subdomains) return in->domain.len > rule->from_domain.len && bytes_ends_nocase(in->domain, rule->from_domain);
    return bytes_equal_nocase(rule->from_domain, in->domain);
}

enum smtp_rewrite_result smtp_rewrite_apply(const struct smtp_rewrite *rule, const struct smtp_address *in, struct smtp_address *out)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    must(in != out);
    if (!matches(rule, in)) return SMTP_REWRITE_NO;
    buf_put(&text, rule->to_local.len > 0 ? rule->to_local : in->local);
    buf_put_c(&text, '@');
    buf_put(&text, rule->to_domain);
    if (text.overflow) return SMTP_REWRITE_TOO_LONG;
    /* Both parts are of an address; together they fit, so that they are one. */
    must(smtp_mailbox_parse(buf_bytes(&text), true, out) == SMTP_ADDRESS_OK);
    return SMTP_REWRITE_DONE;
}

/* is_needed - names that must stay whole (RFC 2142, and what list managers use). */
static bool is_needed(struct bytes local, uint8_t delimiter)
{
    if (bytes_equal_nocase(local, BYTES("postmaster")) || bytes_equal_nocase(local, BYTES("mailer-daemon"))) return true;
    return delimiter == '-' && (bytes_starts_nocase(local, BYTES("owner-")) || bytes_ends_nocase(local, BYTES("-request")));
}

bool smtp_detail_split(struct bytes local, struct bytes delimiters, struct bytes *user, struct bytes *detail)
{
    if (local.len == 0 || local.ptr[0] == '"') return false;
    uint32_t at = 1; /* a delimiter in front has no user before it */
    while (at < local.len && bytes_find(delimiters, local.ptr[at]) == delimiters.len) at++;
    if (at >= local.len || is_needed(local, local.ptr[at])) return false;
    *user = bytes_slice(local, 0, at);
    *detail = bytes_from(local, at + 1);
    return true;
}
