/*
 * users - see users.h.
 */
#include "mta/authd/users.h"

#include <stdlib.h>
#include <string.h>

#include "mta/authd/secrets.h"
#include "smtp/sasl.h"

bool user_name_valid(struct bytes name)
{
    return smtp_sasl_text_valid(name, SMTP_SASL_NAME_BYTES_MAX) && bytes_find(name, ':') == name.len && name.ptr[0] != '#' && name.ptr[0] != ' ' &&
           name.ptr[name.len - 1] != ' ';
}

static int by_name(const void *left, const void *right)
{
    return bytes_compare(((const struct user *)left)->name, ((const struct user *)right)->name);
}

/* take_line - NULL, or what is wrong. */
static const char *take_line(struct bytes line, struct user *out)
{
    uint32_t first = bytes_find(line, ':');
    struct bytes rest = bytes_from(line, first + 1);
    uint32_t second = bytes_find(rest, ':');
    struct smtp_scram_verifier verifier;
    if (line.len > USERS_LINE_BYTES_MAX) return "the line is too long";
    if (first == line.len || second == rest.len) return "expected name:hash:verifier";
    *out = (struct user){bytes_slice(line, 0, first), bytes_slice(rest, 0, second), bytes_from(rest, second + 1)};
    if (!user_name_valid(out->name)) return "this is no login name";
    if (out->hash.len > 0 && !secrets_hash_valid(out->hash)) return "the hash is none that crypt(5) knows";
    if (out->verifier.len > 0 && !smtp_scram_verifier_parse(out->verifier, &verifier)) return "the verifier is not of the form of RFC 5803";
    return NULL;
}

static bool add(struct users *u, uint32_t *cap, const struct user *one)
{
    if (u->count == *cap) {
        uint32_t more = *cap ? 2 * *cap : 64;
        struct user *grown = realloc(u->table, (size_t)more * sizeof *grown);
        if (!grown) return false;
        u->table = grown;
        *cap = more;
    }
    u->table[u->count++] = *one;
    return true;
}

enum err users_parse(struct users *u, uint8_t *text, uint32_t bytes, uint32_t *line, const char **why)
{
    struct users made = {.text = text};
    struct bytes rest = bytes_of(text, bytes);
    uint32_t cap = 0;
    enum err e = ERR_NONE;
    for (*line = 1, *why = NULL; rest.len > 0 && e == ERR_NONE && !*why; ++*line) {
        struct bytes one = bytes_slice(rest, 0, bytes_find(rest, '\n'));
        struct user user;
        rest = bytes_from(rest, one.len + 1);
        if (one.len == 0 || one.ptr[0] == '#') continue;
        *why = take_line(one, &user);
        if (!*why && !add(&made, &cap, &user)) e = ERR_NO_MEMORY;
        if (*why) --*line;
    }
    if (made.count > 1) qsort(made.table, made.count, sizeof *made.table, by_name);
    for (uint32_t i = 1; i < made.count && e == ERR_NONE && !*why; i++) {
        if (bytes_equal(made.table[i - 1].name, made.table[i].name)) *why = "some name is there twice";
    }
    if (*why) e = ERR_BAD_VALUE;
    if (e == ERR_NONE) {
        users_fini(u);
        *u = made;
    } else {
        explicit_bzero(text, bytes);
        free(text);
        free(made.table);
    }
    return e;
}

void users_fini(struct users *u)
{
    for (uint32_t i = 0; i < u->count; i++) { /* names are no secret */
        explicit_bzero((uint8_t *)(uintptr_t)u->table[i].hash.ptr, u->table[i].hash.len);
        explicit_bzero((uint8_t *)(uintptr_t)u->table[i].verifier.ptr, u->table[i].verifier.len);
    }
    free(u->text);
    free(u->table);
    *u = (struct users){0};
}

const struct user *users_find(const struct users *u, struct bytes name)
{
    const struct user wanted = {.name = name};
    return u->count ? bsearch(&wanted, u->table, u->count, sizeof *u->table, by_name) : NULL;
}

void user_put(struct buf *out, struct bytes name, struct bytes hash, struct bytes verifier)
{
    buf_put(out, name);
    buf_put_c(out, ':');
    buf_put(out, hash);
    buf_put_c(out, ':');
    buf_put(out, verifier);
    buf_put_c(out, '\n');
}
