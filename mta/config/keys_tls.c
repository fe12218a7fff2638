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
