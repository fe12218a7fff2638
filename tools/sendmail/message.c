/*
 * message - from what a program writes into us to what SMTP carries: line ends, and the fields of the header.
 *
 * Programs write what their authors tried once: no header at all, no From, bare user names, lines of any length, a CR from some progress bar. None of
 * that is a reason to lose the output of a night's job, so all of it is made into a message here, before anybody has to judge it.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "sendmail.h"
#include "smtp/submission.h"

enum { FIRST_BYTES = 64 * 1024 };

/* ---- memory ---- */

static void grow(void **memory, uint64_t bytes)
{
    void *more = realloc(*memory, bytes);
    if (!more) exit(complain(EX_OSERR, "no memory for the message", (struct bytes){0}));
    *memory = more;
}

void grown_put(struct grown *g, struct bytes text)
{
    if (g->len + text.len > UINT32_MAX) exit(complain(EX_DATAERR, "the message is too large", (struct bytes){0}));
    if (g->len + text.len > g->cap) {
        void *memory = g->ptr;
        g->cap = (g->len + text.len + FIRST_BYTES) / 2 * 3;
        grow(&memory, g->cap);
        g->ptr = memory;
    }
    if (text.len > 0) memcpy(g->ptr + g->len, text.ptr, text.len);
    g->len += text.len;
}

void list_add(struct list *l, struct bytes text)
{
    if (l->count == l->cap) {
        void *memory = l->ends;
        l->cap = l->cap ? 2 * l->cap : 64;
        grow(&memory, (uint64_t)l->cap * sizeof *l->ends);
        l->ends = memory;
    }
    grown_put(&l->octets, text);
    l->ends[l->count++] = (uint32_t)l->octets.len;
}

struct bytes list_item(const struct list *l, uint32_t i)
{
    uint32_t from = i > 0 ? l->ends[i - 1] : 0;
    return bytes_slice(grown_bytes(&l->octets), from, l->ends[i] - from);
}

struct grown input_read(void)
{
    struct grown g = {0};
    static uint8_t memory[FIRST_BYTES];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, memory, sizeof memory);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) exit(complain(EX_IOERR, "cannot read the message", bytes_of_cstr(strerror(errno))));
        if (n == 0) return g;
        grown_put(&g, bytes_of(memory, (uint32_t)n));
        if (g.len > MESSAGE_BYTES_MAX) exit(complain(EX_DATAERR, "the message is too large", (struct bytes){0}));
    }
}

/* ---- lines ---- */

/* next_line - without its end: LF, CR LF, or a CR alone, which would be no line end in mail. */
static bool next_line(struct bytes *rest, struct bytes *line)
{
    if (rest->len == 0) return false;
    uint32_t end = 0;
    while (end < rest->len && rest->ptr[end] != '\n' && rest->ptr[end] != '\r') end++;
    *line = bytes_slice(*rest, 0, end);
    bool both = end + 1 < rest->len && rest->ptr[end] == '\r' && rest->ptr[end + 1] == '\n';
    *rest = bytes_from(*rest, end + (both ? 2 : 1));
    return true;
}

static void put_line(struct grown *out, struct bytes line)
{
    grown_put(out, line);
    grown_put(out, BYTES("\r\n"));
}

/* put_body_line - a longer one than mail may have is broken, the rest on a line of its own behind a blank, as other mailers do. */
static void put_body_line(struct grown *out, struct bytes line)
{
    uint32_t room = CONTENT_LINE_BYTES_MAX;
    while (line.len > room) {
        uint32_t n = room;
        while (n > room - 3 && (line.ptr[n] & 0xC0) == 0x80) n--; /* not within a character */
        put_line(out, bytes_slice(line, 0, n));
        grown_put(out, BYTES(" "));
        line = bytes_from(line, n);
        room = CONTENT_LINE_BYTES_MAX - 1;
    }
    put_line(out, line);
}

/* ---- the header ---- */

/* field_name - the name of the field that a line begins, or empty. */
static struct bytes field_name(struct bytes line)
{
    uint32_t end = 0;
    while (end < line.len && line.ptr[end] > ' ' && line.ptr[end] < 127 && line.ptr[end] != ':') end++;
    struct bytes name = bytes_slice(line, 0, end);
    while (end < line.len && (line.ptr[end] == ' ' || line.ptr[end] == '\t')) end++;
    return end < line.len && line.ptr[end] == ':' ? name : (struct bytes){0};
}

static bool is_one_of(struct bytes name, const char *const *names)
{
    for (uint32_t i = 0; names[i]; i++) {
        if (bytes_equal_nocase(name, bytes_of_cstr(names[i]))) return true;
    }
    return false;
}

struct header {
    const struct job *job;
    struct bytes domain;
    struct content *out;
    struct list resent;      /* recipients of Resent fields: when there are any, they are the ones */
    bool has_from, has_resent;
};

/* put_addresses - a field of addresses, with our domain behind bare names. */
static void put_addresses(struct header *h, struct bytes field, uint32_t body)
{
    struct address_scan scan = {.text = bytes_from(field, body)};
    struct found_address a;
    uint32_t at = 0;
    while (address_next(&scan, &a)) {
        if (a.has_domain) continue;
        uint32_t end = body + a.end;
        if (end > field.len - 2) end = field.len - 2; /* a quote that nobody closed runs into the line end */
        grown_put(&h->out->text, bytes_slice(field, at, end - at));
        grown_put(&h->out->text, BYTES("@"));
        grown_put(&h->out->text, h->domain);
        at = end;
    }
    grown_put(&h->out->text, bytes_from(field, at));
}

static void collect(struct list *to, struct bytes text)
{
    struct address_scan scan = {.text = text};
    struct found_address a;
    while (address_next(&scan, &a)) list_add(to, a.address);
}

/* on_field - one field, with its CR LFs. */
static void on_field(struct header *h, struct bytes field)
{
    static const char *const to[] = {"to", "cc", "bcc", "apparently-to", NULL}, *const resent[] = {"resent-to", "resent-cc", "resent-bcc", NULL};
    static const char *const hidden[] = {"bcc", "resent-bcc", NULL};
    static const char *const rewritten[] = {"from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-to", "resent-cc", NULL};
    struct bytes name = field_name(field);
    uint32_t body = bytes_find(field, ':') + 1;
    if (h->job->from_header && is_one_of(name, to)) collect(&h->out->recipients, bytes_from(field, body));
    if (h->job->from_header && is_one_of(name, resent)) {
        h->has_resent = true;
        collect(&h->resent, bytes_from(field, body));
    }
    if (h->job->from_header && is_one_of(name, hidden)) return;
    h->has_from = h->has_from || bytes_equal_nocase(name, BYTES("from"));
    h->out->non_ascii_header = h->out->non_ascii_header || !bytes_is_ascii(field);
    if (!h->job->gateway && is_one_of(name, rewritten)) put_addresses(h, field, body);
    else grown_put(&h->out->text, field);
}

static bool is_continuation(struct bytes line) { return line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'); }

/* read_header - the fields at the start of *rest, which then is at the body. */
static void read_header(struct header *h, struct bytes *rest)
{
    struct grown field = {0};
    struct bytes line, behind = *rest;
    while (next_line(&behind, &line)) {
        if (!h->job->dot_is_text && bytes_equal(line, BYTES("."))) break;
        bool more = field.len > 0 && is_continuation(line);
        if (!more && field.len > 0) {
            on_field(h, grown_bytes(&field));
            field.len = 0;
        }
        if (!more && field_name(line).len == 0) {
            if (line.len == 0) *rest = behind; /* the empty line is ours to write; any other is the body's first */
            break;
        }
        put_line(&field, line);
        *rest = behind;
    }
    if (field.len > 0) on_field(h, grown_bytes(&field));
    free(field.ptr);
}

/* own_name - of the user who calls: what stands first in the password file's comment. */
static struct bytes own_name(const struct job *j)
{
    const struct passwd *user = j->name ? NULL : getpwuid(getuid());
    struct bytes name = j->name ? bytes_of_cstr(j->name) : user && user->pw_gecos ? bytes_of_cstr(user->pw_gecos) : (struct bytes){0};
    return j->name ? name : bytes_slice(name, 0, bytes_find(name, ','));
}

static void put_from(const struct job *j, struct bytes sender, struct bytes domain, struct grown *out)
{
    uint8_t memory[SMTP_SUBMISSION_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    const struct smtp_submission own = {.sender = sender, .name = sender.len > 0 ? own_name(j) : (struct bytes){0}, .host = domain};
    smtp_submission_write(&text, SMTP_SUBMISSION_FROM, &own);
    if (!text.overflow) grown_put(out, buf_bytes(&text));
}

void content_make(const struct job *j, struct bytes input, struct bytes sender, struct bytes domain, struct content *out)
{
    struct header h = {.job = j, .domain = domain, .out = out};
    struct bytes line, rest = input, behind = input;
    out->text.len = out->recipients.octets.len = 0;
    out->recipients.count = 0;
    /* The first line of a mailbox file, which some programs leave on what they pass on. */
    if (next_line(&behind, &line) && bytes_starts(line, BYTES("From ")) && field_name(line).len == 0) rest = behind;
    read_header(&h, &rest);
    if (h.has_resent) {
        free(out->recipients.octets.ptr);
        free(out->recipients.ends);
        out->recipients = h.resent;
    }
    if (!h.has_from && !j->gateway) put_from(j, sender, domain, &out->text);
    grown_put(&out->text, BYTES("\r\n"));
    while (next_line(&rest, &line)) {
        if (!j->dot_is_text && bytes_equal(line, BYTES("."))) break;
        put_body_line(&out->text, line);
    }
}
