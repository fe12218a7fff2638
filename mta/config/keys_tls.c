/*
 * keys_tls - statements about TLS: certificates with their keys, and how a listener uses them.
 */
#include "mta/config/load.h"
#include "mta/config/values.h"

static struct config_text read_path(struct loader *l, const struct grammar_statement *s)
{
    struct bytes path = word_of(l, s, 1);
    if (!value_path_valid(path))
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`"), word_of(l, s, 0), BYTES("' is `"), path, BYTES("'; expected an absolute path without . or .. in it"));
    return image_text(l, path);
}

void read_key_certificate(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct tls_draft *draft = owner;
    struct config_tls *t = &draft->tls;
    if (!take_words(l, s, 1, 1, BYTES("an absolute path"))) return;
    if (t->certificate_count > draft->key_count) {
        CONFIG_ERROR(l, s->place, BYTES("the `certificate' before this one has no `key'; expected key PATH behind each certificate"));
        return;
    }
    if (t->certificate_count == CONFIG_TLS_CERTIFICATES_MAX) {
        CONFIG_ERROR(l, s->place, BYTES("more than 64 certificates in one tls block; expected another block, for another listener"));
        return;
    }
    t->certificates[t->certificate_count++].chain = read_path(l, s);
}

void show_key_certificate(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_tls *t = owner;
    for (uint32_t i = 0; i < t->certificate_count; i++) {
        BUF_LIT(out, "    certificate ");
        put_word(out, config_bytes(c, t->certificates[i].chain));
        BUF_LIT(out, "\n    key ");
        put_word(out, config_bytes(c, t->certificates[i].key));
        buf_put_c(out, '\n');
    }
}

void read_key_key(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct tls_draft *draft = owner;
    if (!take_words(l, s, 1, 1, BYTES("an absolute path"))) return;
    if (draft->key_count >= draft->tls.certificate_count) {
        CONFIG_ERROR(l, s->place, BYTES("`key' without a `certificate' before it; expected certificate PATH; key PATH"));
        return;
    }
    draft->tls.certificates[draft->key_count++].key = read_path(l, s);
}

/* It is printed beside its certificate. */
void show_key_key(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    (void)owner;
    (void)out;
}

static const struct bytes listen_words[] = {
    [LISTEN_TLS_OFF] = BYTES_INIT("off"), [LISTEN_TLS_STARTTLS] = BYTES_INIT("starttls"),
    [LISTEN_TLS_STARTTLS_REQUIRED] = BYTES_INIT("starttls-required"), [LISTEN_TLS_IMPLICIT] = BYTES_INIT("implicit"),
};
enum { LISTEN_WORDS = sizeof listen_words / sizeof listen_words[0] };

void read_key_listen_tls(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_listener *a = owner;
    static const struct bytes expected = BYTES_INIT("off, starttls NAME, starttls-required NAME or implicit NAME");
    if (!take_words(l, s, 1, 2, expected)) return;
    uint8_t how = 0;
    while (how < LISTEN_WORDS && !bytes_equal(word_of(l, s, 1), listen_words[how])) how++;
    if (how == LISTEN_WORDS || (how == LISTEN_TLS_OFF && s->word_count > 2)) {
        uint32_t wrong = how == LISTEN_WORDS ? 1 : 2;
        CONFIG_ERROR(l, place_of(l, s, wrong), BYTES("`tls' is `"), word_of(l, s, wrong), BYTES("'; expected "), expected);
        return;
    }
    a->tls = how;
    a->tls_name = image_text(l, s->word_count > 2 ? word_of(l, s, 2) : BYTES("default"));
}

void show_key_listen_tls(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_listener *a = owner;
    if (a->tls == LISTEN_TLS_OFF || a->tls >= LISTEN_WORDS) return;
    BUF_LIT(out, "    tls ");
    buf_put(out, listen_words[a->tls]);
    buf_put_c(out, ' ');
    put_word(out, config_bytes(c, a->tls_name));
    buf_put_c(out, '\n');
}

/* ---- how a route sends ---- */

static const struct bytes route_words[] = {
    [ROUTE_TLS_OFF] = BYTES_INIT("off"), [ROUTE_TLS_OPPORTUNISTIC] = BYTES_INIT("opportunistic"), [ROUTE_TLS_ENCRYPT] = BYTES_INIT("encrypt"),
    [ROUTE_TLS_VERIFY] = BYTES_INIT("verify"),
};
enum { ROUTE_WORDS = sizeof route_words / sizeof route_words[0] };

/* read_route_word - one word of `tls`; false when it is none, or the second of its kind. */
static bool read_route_word(struct config_route *r, struct bytes word)
{
    if (bytes_equal(word, BYTES("dane"))) {
        bool first = !r->tls_dane;
        r->tls_dane = true;
        return first;
    }
    for (uint8_t i = ROUTE_TLS_OFF; i < ROUTE_WORDS; i++) {
        if (!bytes_equal(word, route_words[i]) || r->tls != ROUTE_TLS_DEFAULT) continue;
        r->tls = i;
        return true;
    }
    return false;
}

static void read_route_tls(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    static const struct bytes expected = BYTES_INIT("off, opportunistic, encrypt or verify, and dane beside the last three");
    if (!take_words(l, s, 1, 2, expected)) return;
    for (uint32_t i = 1; i < s->word_count; i++) {
        if (bytes_equal(word_of(l, s, i), BYTES("sts"))) {
            CONFIG_ERROR(l, place_of(l, s, i), BYTES("`tls sts' is not supported yet; expected "), expected);
        } else if (!read_route_word(r, word_of(l, s, i))) {
            CONFIG_ERROR(l, place_of(l, s, i), BYTES("`tls' is `"), word_of(l, s, i), BYTES("'; expected "), expected);
        }
    }
    if (r->tls == ROUTE_TLS_DEFAULT && r->tls_dane && r->action == ACTION_MX) r->tls = ROUTE_TLS_OPPORTUNISTIC;
    if (r->tls == ROUTE_TLS_OFF && r->tls_dane) CONFIG_ERROR(l, s->place, BYTES("`tls off' and `dane' contradict each other"));
}

void read_key_relay_tls(struct loader *l, const struct grammar_statement *s, void *owner) { read_route_tls(l, s, owner); }
void read_key_mx_tls(struct loader *l, const struct grammar_statement *s, void *owner) { read_route_tls(l, s, owner); }

/* Both are printed with their action. */
void show_key_relay_tls(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    (void)owner;
    (void)out;
}

void show_key_mx_tls(const struct config *c, const void *owner, struct buf *out) { show_key_relay_tls(c, owner, out); }

void show_route_tls(const struct config_route *r, struct buf *out)
{
    BUF_LIT(out, " {\n        tls");
    if (r->tls_dane) BUF_LIT(out, " dane");
    if (r->tls > ROUTE_TLS_DEFAULT && r->tls < ROUTE_WORDS) {
        buf_put_c(out, ' ');
        buf_put(out, route_words[r->tls]);
    }
    BUF_LIT(out, "\n    }\n");
}
