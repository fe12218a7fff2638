/*
 * scram - see smtp/scram.h. Messages here; keys in scram_keys.c.
 *
 * Every message is a list of attributes, "x=value" with commas between: one function takes the next, and each parser says which letters
 * it wants in which order, as the grammar does.
 */
#include "smtp/scram.h"

/* take_attribute - "letter=value" at the start of *rest, which moves behind its comma; *rest.len is 0 after the last. */
static bool take_attribute(struct bytes *rest, uint8_t letter, struct bytes *value)
{
    if (rest->len < 2 || rest->ptr[0] != letter || rest->ptr[1] != '=') return false;
    uint32_t end = bytes_find(*rest, ',');
    if (end + 1 == rest->len) return false; /* a comma with nothing behind it */
    *value = bytes_slice(*rest, 2, end - 2);
    *rest = bytes_from(*rest, end + 1);
    return true;
}

/* skip_extensions - what may stand at the end: attributes of letters that nobody has given a meaning yet. */
static bool skip_extensions(struct bytes rest)
{
    while (rest.len > 0) {
        struct bytes value;
        uint8_t letter = rest.ptr[0];
        if (!ascii_is_alpha(letter) || letter == 'm' || !take_attribute(&rest, letter, &value)) return false;
        if (value.len == 0 || bytes_find(value, 0) < value.len || !bytes_is_utf8(value)) return false;
    }
    return true;
}

bool smtp_scram_nonce_valid(struct bytes nonce)
{
    if (nonce.len == 0 || nonce.len > SMTP_SCRAM_NONCE_BYTES_MAX) return false;
    for (uint32_t i = 0; i < nonce.len; i++) {
        if (nonce.ptr[i] <= ' ' || nonce.ptr[i] > '~' || nonce.ptr[i] == ',') return false;
    }
    return true;
}

/* name_valid - a saslname that decodes to something. */
static bool name_valid(struct bytes name)
{
    uint8_t memory[SMTP_SASL_NAME_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    return smtp_scram_name_decode(name, &out);
}

/* take_gs2_header - "n,," or "y,a=name,"; what would bind to a channel is refused. */
static bool take_gs2_header(struct bytes *rest, struct smtp_scram_client_first *out)
{
    struct bytes all = *rest;
    if (rest->len < 3 || (rest->ptr[0] != 'n' && rest->ptr[0] != 'y') || rest->ptr[1] != ',') return false;
    *rest = bytes_from(*rest, 2);
    out->authzid = BYTES("");
    if (rest->ptr[0] == ',') {
        *rest = bytes_from(*rest, 1);
    } else if (!take_attribute(rest, 'a', &out->authzid) || !name_valid(out->authzid)) {
        return false;
    }
    out->gs2_header = bytes_slice(all, 0, all.len - rest->len);
    return true;
}

bool smtp_scram_client_first_parse(struct bytes message, struct smtp_scram_client_first *out)
{
    struct smtp_scram_client_first first;
    struct bytes rest = message;
    if (message.len > SMTP_SASL_MESSAGE_BYTES_MAX || !take_gs2_header(&rest, &first)) return false;
    first.bare = rest;
    if (!take_attribute(&rest, 'n', &first.user) || !name_valid(first.user)) return false;
    if (!take_attribute(&rest, 'r', &first.nonce) || !smtp_scram_nonce_valid(first.nonce)) return false;
    if (!skip_extensions(rest)) return false;
    *out = first;
    return true;
}

static bool salt_valid(struct bytes salt)
{
    uint8_t memory[SMTP_SCRAM_SALT_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    return smtp_base64_decode(salt, &out) && out.len > 0;
}

bool smtp_scram_server_first_parse(struct bytes message, struct smtp_scram_server_first *out)
{
    struct smtp_scram_server_first first;
    struct bytes rest = message, digits;
    uint64_t iterations;
    if (message.len > SMTP_SASL_MESSAGE_BYTES_MAX) return false;
    if (!take_attribute(&rest, 'r', &first.nonce) || !smtp_scram_nonce_valid(first.nonce)) return false;
    if (!take_attribute(&rest, 's', &first.salt) || !salt_valid(first.salt)) return false;
    if (!take_attribute(&rest, 'i', &digits) || !bytes_to_u64(digits, &iterations) || digits.ptr[0] == '0') return false;
    if (iterations < SMTP_SCRAM_ITERATIONS_MIN || iterations > SMTP_SCRAM_ITERATIONS_MAX) return false;
    if (!skip_extensions(rest)) return false;
    first.iterations = (uint32_t)iterations;
    *out = first;
    return true;
}

bool smtp_scram_client_final_parse(struct bytes message, struct smtp_scram_client_final *out)
{
    struct smtp_scram_client_final final;
    struct bytes rest = message;
    if (message.len > SMTP_SASL_MESSAGE_BYTES_MAX) return false;
    if (!take_attribute(&rest, 'c', &final.binding)) return false;
    if (!take_attribute(&rest, 'r', &final.nonce) || !smtp_scram_nonce_valid(final.nonce)) return false;
    /* The proof is the last attribute; its own '=' of padding cannot be a comma. */
    uint32_t comma = bytes_find_last(message, ',');
    struct bytes proof = bytes_from(message, comma + 1);
    if (rest.len < proof.len || rest.len == proof.len + 1) return false; /* none behind the nonce; or a comma with nothing before it */
    struct bytes extensions = bytes_slice(rest, 0, rest.len > proof.len ? rest.len - proof.len - 1 : 0);
    if (!skip_extensions(extensions)) return false;
    if (!take_attribute(&proof, 'p', &final.proof)) return false;
    final.without_proof = bytes_slice(message, 0, comma);
    *out = final;
    return true;
}

enum smtp_scram_final smtp_scram_server_final_parse(struct bytes message, struct bytes *value)
{
    struct bytes rest = message, found;
    if (message.len > SMTP_SASL_MESSAGE_BYTES_MAX) return SMTP_SCRAM_FINAL_BAD;
    enum smtp_scram_final kind = SMTP_SCRAM_FINAL_BAD;
    if (take_attribute(&rest, 'v', &found)) kind = SMTP_SCRAM_FINAL_VERIFIER;
    else if (take_attribute(&rest, 'e', &found)) kind = SMTP_SCRAM_FINAL_ERROR;
    if (kind == SMTP_SCRAM_FINAL_BAD || found.len == 0 || !skip_extensions(rest)) return SMTP_SCRAM_FINAL_BAD;
    *value = found;
    return kind;
}

void smtp_scram_name_encode(struct buf *out, struct bytes name)
{
    for (uint32_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == ',') BUF_LIT(out, "=2C");
        else if (name.ptr[i] == '=') BUF_LIT(out, "=3D");
        else buf_put_c(out, name.ptr[i]);
    }
}

bool smtp_scram_name_decode(struct bytes name, struct buf *out)
{
    uint32_t start = out->len;
    for (uint32_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (c == '=') {
            struct bytes code = bytes_slice(name, i, 3);
            if (!bytes_equal(code, BYTES("=2C")) && !bytes_equal(code, BYTES("=3D"))) return false;
            c = code.ptr[2] == 'C' ? ',' : '=';
            i += 2;
        }
        if (buf_room(out) == 0) return false;
        buf_put_c(out, c);
    }
    return smtp_sasl_text_valid(bytes_from(buf_bytes(out), start), SMTP_SASL_NAME_BYTES_MAX);
}
