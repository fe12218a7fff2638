#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "mta/tls/client.h"
#include "mta/tls/keys.h"
#include "mta/tls/server.h"

/* ---- certificates of our own ---- */

struct pair { /* a certificate and its key, as PEM */
    uint8_t chain_memory[4096], key_memory[4096];
    struct bytes chain, key;
};

static struct bytes from_bio(BIO *bio, uint8_t *memory, uint32_t room)
{
    char *text;
    long n = BIO_get_mem_data(bio, &text);
    assert_true(n > 0 && (uint32_t)n <= room);
    memcpy(memory, text, (size_t)n);
    BIO_free(bio);
    return bytes_of(memory, (uint32_t)n);
}

static void add_name(X509 *x, const char *name)
{
    char text[128];
    snprintf(text, sizeof text, "DNS:%s", name);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static void make_pair(struct pair *p, EVP_PKEY *key, const char *name)
{
    X509 *x = X509_new();
    assert_non_null(x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    add_name(x, name);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(chain, x);
    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL);
    p->chain = from_bio(chain, p->chain_memory, sizeof p->chain_memory);
    p->key = from_bio(secret, p->key_memory, sizeof p->key_memory);
    X509_free(x);
}

/* ---- a keyholder in small ---- */

static struct pair ec, rsa, other;
static struct tls_key *keys[3];
static uint32_t signatures;

static bool sign(void *context, uint64_t id, enum tls_key_kind kind, struct bytes octets, struct buf *signature)
{
    (void)context;
    signatures++;
    for (uint32_t i = 0; i < 3; i++) {
        if (tls_key_id(keys[i]) == id) return tls_key_sign(keys[i], kind, octets, signature);
    }
    return false;
}

static int set_up(void **state)
{
    (void)state;
    uint8_t memory[256];
    struct buf words = BUF_OVER(memory);
    EVP_PKEY *one = EVP_EC_gen("P-256"), *two = EVP_RSA_gen(2048), *three = EVP_EC_gen("P-256");
    make_pair(&ec, one, "mx.example");
    make_pair(&rsa, two, "mx.example");
    make_pair(&other, three, "*.other.example");
    assert_int_equal(tls_init(), ERR_NONE);
    const struct pair *pairs[] = {&ec, &rsa, &other};
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(tls_key_read(&keys[i], pairs[i]->chain, pairs[i]->key, &words), ERR_NONE);
    EVP_PKEY_free(one);
    EVP_PKEY_free(two);
    EVP_PKEY_free(three);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) tls_key_free(keys[i]);
    return 0;
}

static struct tls_server *open_server(bool tickets)
{
    const struct bytes chains[] = {ec.chain, rsa.chain, other.chain};
    const struct tls_server_listener listeners[] = {{0, 3, false, tickets}, {1, 1, false, tickets}};
    const struct tls_server_options o = {chains, 3, listeners, 2, sign, NULL};
    struct tls_server *t = NULL;
    assert_int_equal(tls_server_open(&t, &o), ERR_NONE);
    return t;
}

/* ---- two ends and the wire between them ---- */

struct end {
    struct tls_session *s;
    enum tls_state state;
    uint8_t plain_memory[128 * 1024], wire_memory[256 * 1024];
    struct buf plain, wire; /* what came out of it for us, and for the other end */
};

static struct end near, far;

static void begin(struct end *e, struct tls_session *s)
{
    assert_non_null(s);
    e->s = s;
    e->state = TLS_HANDSHAKE;
    e->plain = BUF_OVER(e->plain_memory);
    e->wire = BUF_OVER(e->wire_memory);
}

static void hear(struct end *e, struct bytes in)
{
    uint8_t memory[TLS_FLIGHT_BYTES_MAX], plain_memory[64 * 1024];
    struct buf flight = BUF_OVER(memory), plain = BUF_OVER(plain_memory);
    if (e->state == TLS_FAILED || e->state == TLS_ENDED) return;
    e->state = tls_feed(e->s, in, &plain, &flight);
    buf_put(&e->plain, buf_bytes(&plain));
    buf_put(&e->wire, buf_bytes(&flight));
    assert_false(e->plain.overflow || e->wire.overflow);
}

/* exchange - carry what is there in pieces, until both are silent. */
static void exchange(uint32_t piece)
{
    while (near.wire.len > 0 || far.wire.len > 0) {
        for (uint32_t side = 0; side < 2; side++) {
            struct end *from = side ? &far : &near, *to = side ? &near : &far;
            static uint8_t copy[sizeof from->wire_memory];
            uint32_t n = from->wire.len;
            memcpy(copy, from->wire_memory, n);
            from->wire.len = 0;
            for (uint32_t at = 0; at < n; at += piece) hear(to, bytes_of(copy + at, n - at < piece ? n - at : piece));
        }
    }
}

static void talk(struct tls_server *t, uint32_t listener, struct tls_client *c, const struct tls_connect *how, uint32_t piece)
{
    begin(&near, tls_connect(c, how));
    begin(&far, tls_accept(t, listener));
    hear(&near, (struct bytes){0});
    exchange(piece);
}

static void hang_up(void)
{
    tls_free(near.s);
    tls_free(far.s);
}

static void say(struct end *from, struct end *to, struct bytes text, uint32_t piece)
{
    uint8_t memory[TLS_FLIGHT_BYTES_MAX];
    struct buf flight = BUF_OVER(memory);
    to->plain.len = 0;
    assert_int_equal(tls_write(from->s, text, &flight), ERR_NONE);
    buf_put(&from->wire, buf_bytes(&flight));
    exchange(piece);
    assert_true(bytes_equal(buf_bytes(&to->plain), text));
}

/* ---- tests ---- */

static struct tls_client *client(void)
{
    static struct tls_client *c;
    if (!c) assert_int_equal(tls_client_open(&c, NULL), ERR_NONE);
    return c;
}

static void test_tls_any_split_of_the_wire_gives_the_same(void **state)
{
    (void)state;
    static uint8_t large[40000];
    memset(large, 'x', sizeof large);
    struct tls_server *t = open_server(false);
    const uint32_t pieces[] = {1, 2, 5, 6, 7, 100, 16384, 1u << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        uint32_t piece = pieces[i] < 16384 ? pieces[i] : 16384; /* what one receive brings */
        talk(t, 0, client(), &(struct tls_connect){.name = BYTES("mx.example")}, piece);
        assert_true(near.state == TLS_OPEN && far.state == TLS_OPEN);
        assert_true(bytes_equal(tls_server_name(far.s), BYTES("mx.example")));
        say(&near, &far, BYTES("EHLO me\r\n"), piece);
        say(&far, &near, BYTES("250 you\r\n"), piece);
        say(&near, &far, bytes_of(large, sizeof large), piece);
        uint8_t memory[256];
        struct buf flight = BUF_OVER(memory);
        tls_close(near.s, &flight);
        buf_put(&near.wire, buf_bytes(&flight));
        exchange(piece);
        assert_int_equal(far.state, TLS_ENDED);
        hang_up();
    }
    tls_server_release(t);
}

static void test_tls_server_goes_when_its_last_session_has(void **state)
{
    (void)state;
    struct tls_server *t = open_server(false);
    talk(t, 0, client(), &(struct tls_connect){.name = BYTES("a.other.example")}, 4096);
    tls_server_release(t); /* sanitizers tell when a session uses it after it has gone, or when it stays */
    say(&near, &far, BYTES("still here"), 4096);
    hang_up();
}

static void test_tls_tickets_are_for_one_listener(void **state)
{
    (void)state;
    static const uint8_t first[TLS_TICKET_SECRET_BYTES] = {1}, second[TLS_TICKET_SECRET_BYTES] = {2}, third[TLS_TICKET_SECRET_BYTES] = {3};
    struct tls_server *t = open_server(true);
    const struct tls_connect how = {.name = BYTES("mx.example"), .destination = 77};
    struct { const uint8_t *current, *previous; uint32_t listener; bool resumed; } steps[] = {
        {first, NULL, 0, false}, {first, NULL, 0, true}, {first, NULL, 1, false}, {first, NULL, 0, false}, {second, first, 0, true}, {second, first, 0, true},
        {third, first, 0, false}, {third, first, 0, true},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct bytes previous = bytes_of(steps[i].previous, steps[i].previous ? TLS_TICKET_SECRET_BYTES : 0);
        tls_tickets(bytes_of(steps[i].current, TLS_TICKET_SECRET_BYTES), previous);
        uint32_t before = signatures;
        talk(t, steps[i].listener, client(), &how, 16384);
        assert_int_equal(near.state, TLS_OPEN);
        if (tls_resumed(near.s) != steps[i].resumed) fail_msg("step %zu", i);
        assert_int_equal(signatures > before, !steps[i].resumed);
        hang_up();
    }
    tls_server_release(t);
}

static void test_tls_rubbish_fails_with_words(void **state)
{
    (void)state;
    static const struct bytes rubbish[] = {
        BYTES_INIT("GET / HTTP/1.1\r\n\r\n"), BYTES_INIT("EHLO me\r\n"),
        BYTES_INIT("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), BYTES_INIT("\x15\x03\x01\x00\x02\x02\x28"),
        BYTES_INIT("\x16\x03\x01\xff\xff"), BYTES_INIT("\x17\x03\x03\x00\x01x"),
    };
    struct tls_server *t = open_server(false);
    for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++) {
        begin(&far, tls_accept(t, 0));
        hear(&far, rubbish[i]);
        assert_int_equal(far.state, TLS_FAILED);
        assert_true(tls_words(far.s).len > 0);
        tls_free(far.s);
    }
    tls_server_release(t);
}

static void test_tls_key_must_be_the_certificates(void **state)
{
    (void)state;
    uint8_t memory[256];
    struct tls_key *k = NULL;
    const struct { struct bytes chain, key; const char *words; } cases[] = {
        {ec.chain, rsa.key, "the key is not that of the (first) certificate"}, {ec.chain, ec.chain, "there is no private key"},
        {ec.key, ec.key, "there is no certificate"}, {BYTES(""), ec.key, "there is no certificate"}, {ec.chain, BYTES("x"), "there is no private key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf words = BUF_OVER(memory);
        assert_int_equal(tls_key_read(&k, cases[i].chain, cases[i].key, &words), ERR_BAD_VALUE);
        assert_true(bytes_starts(buf_bytes(&words), bytes_of_cstr(cases[i].words)));
    }
}

static void test_tls_rsa_key_signs_nothing_but_signatures(void **state)
{
    (void)state;
    uint8_t block[256], memory[TLS_SIGNATURE_BYTES_MAX];
    struct buf signature = BUF_OVER(memory);
    memset(block, 0xff, sizeof block);
    block[0] = 0;
    block[1] = 2; /* what encryption pads like (RFC 8017 7.2.1) */
    block[200] = 0;
    assert_false(tls_key_sign(keys[1], TLS_KEY_RSA, bytes_of(block, sizeof block), &signature));
    block[1] = 1;
    assert_true(tls_key_sign(keys[1], TLS_KEY_RSA, bytes_of(block, sizeof block), &signature));
    signature.len = 0;
    assert_false(tls_key_sign(keys[1], TLS_KEY_RSA, bytes_of(block, 255), &signature)); /* another length */
    assert_false(tls_key_sign(keys[1], TLS_KEY_EC, bytes_of(block, 32), &signature));   /* another kind */
    assert_false(tls_key_sign(keys[0], TLS_KEY_RSA, bytes_of(block, sizeof block), &signature));
    block[5] = 0; /* the padding is too short */
    assert_false(tls_key_sign(keys[1], TLS_KEY_RSA, bytes_of(block, sizeof block), &signature));
}

static void test_tls_client_proves_what_it_is_told_to(void **state)
{
    (void)state;
    struct tls_server *t = open_server(false);
    uint8_t digest[32];
    BIO *bio = BIO_new_mem_buf(ec.chain.ptr, (int)ec.chain.len);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    unsigned int n = sizeof digest;
    assert_int_equal(X509_pubkey_digest(x, EVP_sha256(), digest, &n), 1); /* not what TLSA has: of the bare key */
    assert_int_equal(X509_digest(x, EVP_sha256(), digest, &n), 1);        /* 3 0 1 */
    X509_free(x);
    BIO_free(bio);
    for (int good = 0; good < 2; good++) {
        begin(&near, tls_connect(client(), &(struct tls_connect){.proof = TLS_PROOF_DANE, .name = BYTES("nobody.example")}));
        if (!good) digest[0] ^= 1;
        assert_true(tls_connect_tlsa(near.s, 3, 0, 1, bytes_of(digest, n)));
        if (!good) digest[0] ^= 1;
        begin(&far, tls_accept(t, 0));
        hear(&near, (struct bytes){0});
        exchange(16384);
        assert_int_equal(near.state, good ? TLS_OPEN : TLS_FAILED);
        if (good) assert_string_equal(tls_trust(near.s), "Verified");
        hang_up();
    }
    /* No authority is known: nobody can be verified by one. */
    talk(t, 0, client(), &(struct tls_connect){.proof = TLS_PROOF_NAME, .name = BYTES("mx.example")}, 16384);
    assert_int_equal(near.state, TLS_FAILED);
    hang_up();
    tls_server_release(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_any_split_of_the_wire_gives_the_same), cmocka_unit_test(test_tls_server_goes_when_its_last_session_has),
        cmocka_unit_test(test_tls_tickets_are_for_one_listener),         cmocka_unit_test(test_tls_rubbish_fails_with_words),
        cmocka_unit_test(test_tls_key_must_be_the_certificates),         cmocka_unit_test(test_tls_rsa_key_signs_nothing_but_signatures),
        cmocka_unit_test(test_tls_client_proves_what_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
