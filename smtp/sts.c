/*
 * sts - see smtp/sts.h.
 */
#include "smtp/sts.h"

#include "smtp/address.h"

/* ---- the record ---- */

/* take_field - "name=value" up to the next ';', with the blanks around it; *rest behind that. */
static bool take_field(struct bytes *rest, struct bytes *name, struct bytes *value)
{
    uint32_t end = bytes_find(*rest, ';');
    struct bytes field = bytes_trim(bytes_slice(*rest, 0, end));
    *rest = bytes_trim(bytes_from(*rest, end + 1));
    uint32_t equals = bytes_find(field, '=');
    *name = bytes_slice(field, 0, equals);
    *value = bytes_from(field, equals + 1);
    return equals < field.len && name->len > 0 && value->len > 0;
}

static bool is_alnum(uint8_t c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c);
}

static bool id_valid(struct bytes id)
{
    for (uint32_t i = 0; i < id.len; i++) {
        if (!is_alnum(id.ptr[i])) return false;
    }
    return id.len > 0 && id.len <= SMTP_STS_ID_BYTES_MAX;
}

/* extension_valid - sts-ext-name and sts-ext-value. */
static bool extension_valid(struct bytes name, struct bytes value)
{
    if (name.len > 32 || !is_alnum(name.ptr[0])) return false;
    for (uint32_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!is_alnum(c) && c != '_' && c != '-' && c != '.') return false;
    }
    for (uint32_t i = 0; i < value.len; i++) {
        if (value.ptr[i] <= ' ' || value.ptr[i] > '~' || value.ptr[i] == '=') return false;
    }
    return true;
}

enum smtp_sts_record smtp_sts_record_parse(struct bytes text, struct bytes *id)
{
    struct bytes version = BYTES("v=STSv1"), found = BYTES("");
    if (!bytes_starts(text, version)) return SMTP_STS_OTHER;
    struct bytes rest = bytes_trim(bytes_from(text, version.len));
    if (rest.len == 0 || rest.ptr[0] != ';') return SMTP_STS_OTHER;
    rest = bytes_trim(bytes_from(rest, 1));
    while (rest.len > 0) {
        struct bytes name, value;
        if (!take_field(&rest, &name, &value)) return SMTP_STS_BROKEN;
        if (!bytes_equal(name, BYTES("id"))) {
            if (!extension_valid(name, value)) return SMTP_STS_BROKEN;
            continue;
        }
        if (found.len > 0 || !id_valid(value)) return SMTP_STS_BROKEN;
        found = value;
    }
    if (found.len == 0) return SMTP_STS_BROKEN;
    *id = found;
    return SMTP_STS_RECORD;
}

/* ---- the policy ---- */

bool smtp_sts_line_next(struct bytes *rest, struct bytes *line)
{
    if (rest->len == 0) return false;
    uint32_t end = bytes_find(*rest, '\n');
    *line = bytes_slice(*rest, 0, end);
    *rest = bytes_from(*rest, end + 1);
    if (line->len > 0 && line->ptr[line->len - 1] == '\r') line->len--;
    return true;
}

/* split_line - "key: value"; false for an empty line or one without a colon. */
static bool split_line(struct bytes line, struct bytes *key, struct bytes *value)
{
    uint32_t colon = bytes_find(line, ':');
    *key = bytes_trim(bytes_slice(line, 0, colon));
    *value = bytes_trim(bytes_from(line, colon + 1));
    return colon < line.len && key->len > 0;
}

static bool text_valid(struct bytes line)
{
    for (uint32_t i = 0; i < line.len; i++) {
        if ((line.ptr[i] < ' ' && line.ptr[i] != '\t') || line.ptr[i] == 127) return false;
    }
    return bytes_is_utf8(line);
}

static bool parse_mode(struct bytes value, uint8_t *mode)
{
    if (bytes_equal(value, BYTES("enforce"))) *mode = SMTP_STS_ENFORCE;
    else if (bytes_equal(value, BYTES("testing"))) *mode = SMTP_STS_TESTING;
    else if (bytes_equal(value, BYTES("none"))) *mode = SMTP_STS_NONE;
    else return false;
    return true;
}

static bool parse_age(struct bytes value, uint32_t *age_s)
{
    uint64_t seconds;
    if (value.len > 10 || !bytes_to_u64(value, &seconds)) return false;
    *age_s = seconds < SMTP_STS_AGE_MAX_S ? (uint32_t)seconds : SMTP_STS_AGE_MAX_S;
    return true;
}

static bool mx_valid(struct bytes pattern)
{
    if (bytes_starts(pattern, BYTES("*."))) pattern = bytes_from(pattern, 2);
    return smtp_domain_valid(pattern, false);
}

enum { HAS_VERSION = 1, HAS_MODE = 2, HAS_AGE = 4, HAS_ALL = 7 };

/* first_of - whether a key is met for the first time; later ones are ignored (RFC 8461 3.2). */
static bool first_of(struct bytes key, struct bytes name, uint32_t bit, uint32_t *seen)
{
    if (!bytes_equal(key, name) || (*seen & bit)) return false;
    *seen |= bit;
    return true;
}

static bool take_line(struct smtp_sts_policy *policy, struct bytes key, struct bytes value, uint32_t *seen)
{
    if (first_of(key, BYTES("version"), HAS_VERSION, seen)) return bytes_equal(value, BYTES("STSv1"));
    if (first_of(key, BYTES("mode"), HAS_MODE, seen)) return parse_mode(value, &policy->mode);
    if (first_of(key, BYTES("max_age"), HAS_AGE, seen)) return parse_age(value, &policy->max_age_s);
    if (!bytes_equal(key, BYTES("mx"))) return true; /* keys that are not known yet */
    policy->mx_count++;
    return mx_valid(value);
}

bool smtp_sts_policy_parse(struct bytes text, struct smtp_sts_policy *out)
{
    struct smtp_sts_policy policy = {0};
    struct bytes rest = text, line, key, value;
    uint32_t seen = 0;
    if (text.len > SMTP_STS_POLICY_BYTES_MAX) return false;
    while (smtp_sts_line_next(&rest, &line)) {
        if (!text_valid(line)) return false;
        if (bytes_trim(line).len == 0) continue;
        if (!split_line(line, &key, &value) || !take_line(&policy, key, value, &seen)) return false;
    }
    if (seen != HAS_ALL || (policy.mode != SMTP_STS_NONE && policy.mx_count == 0)) return false;
    *out = policy;
    return true;
}

bool smtp_sts_policy_allows(struct bytes text, struct bytes host)
{
    struct bytes rest = text, line, key, value;
    while (smtp_sts_line_next(&rest, &line)) {
        if (split_line(line, &key, &value) && bytes_equal(key, BYTES("mx")) && smtp_sts_mx_matches(value, host)) return true;
    }
    return false;
}

bool smtp_sts_mx_matches(struct bytes pattern, struct bytes host)
{
    if (host.len > 0 && host.ptr[host.len - 1] == '.') host.len--;
    if (host.len == 0 || pattern.len == 0) return false;
    if (!bytes_starts(pattern, BYTES("*."))) return bytes_equal_nocase(pattern, host);
    uint32_t dot = bytes_find(host, '.');
    return dot > 0 && bytes_equal_nocase(bytes_from(pattern, 1), bytes_from(host, dot));
}
