/*
 * ipcdoc - prints docs/ipc.md: every message between processes, from the table in mta/ipc/messages.h.
 *
 * Names, kinds, maxima and directions come from the compiled table. What a field means stands in the comment behind it, which only the header's text
 * has: `ipcdoc mta/ipc/messages.h mta/ipc/messages_receiver.h > docs/ipc.md`. A field without a comment is printed without one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mta/ipc/ipc.h"

enum { HEADER_BYTES_MAX = 256 * 1024 };

static char header[HEADER_BYTES_MAX + 1]; /* the files one behind another, NUL-terminated */
static size_t header_bytes;

static bool read_header(const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    header_bytes += fread(header + header_bytes, 1, HEADER_BYTES_MAX - header_bytes, f);
    bool whole = !ferror(f) && feof(f);
    fclose(f);
    header[header_bytes] = 0;
    return whole;
}

/* print_comment - what stands behind a place of the header, up to the end of its line. */
static void print_comment(const char *from)
{
    const char *end = strchr(from, '\n');
    const char *open = strstr(from, "/*");
    if (end == NULL || open == NULL || open > end) return;
    const char *close = strstr(open, "*/");
    for (const char *c = open + 3; close != NULL && c < close - 1; c++) {
        if (*c == '|') putchar('\\');
        putchar(*c);
    }
}

/* field_in - where a field stands in a list of the header, or NULL. */
static const char *field_in(const char *list, const char *kind, const char *name)
{
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "#define %s(F)", list);
    const char *at = strstr(header, wanted);
    if (at == NULL) return NULL;
    const char *end = strstr(at + 1, "#define");
    snprintf(wanted, sizeof(wanted), "F(%s, %s,", kind, name);
    const char *field = strstr(at, wanted);
    return field != NULL && (end == NULL || field < end) ? field : NULL;
}

/* print_meaning - of a field of a list, or of the verdict's list, which others contain. */
static void print_meaning(const char *list, const char *kind, const char *name)
{
    const char *field = field_in(list, kind, name);
    if (field == NULL) field = field_in("IPC_VERDICT", kind, name);
    if (field != NULL) print_comment(field);
}

static void print_field(const char *list, const char *kind, const char *name, const char *maximum, uint64_t value)
{
    printf("| `%s` | %s | ", name, kind);
    if (value != 0) printf("%s", maximum);
    if (value != 0 && (maximum[0] < '0' || maximum[0] > '9')) printf(" = %" PRIu64, value);
    printf(" | ");
    print_meaning(list, kind, name);
    printf(" |\n");
}

static void print_message(int number, const char *name, const char *from, const char *to, int fd)
{
    static const char *const descriptor[] = {"none", "always one", "may have one"};
    printf("\n### %d %s\n\nFrom %s to %s. Descriptor: %s.\n\n| field | kind | maximum | meaning |\n|---|---|---|---|\n", number, name, from, to,
        descriptor[fd]);
}

#define FIELD_ROW(kind, name, max) print_field(list, #kind, #name, #max, (uint64_t)(max));
#define MESSAGE_DOC(id, NAME, name, from, to, fd, FIELDS) \
    { \
        const char *list = #FIELDS; \
        print_message(id, #NAME, #from, #to, fd); \
        FIELDS(FIELD_ROW) \
    }

int main(int argc, char **argv)
{
    bool read = argc > 1;
    for (int i = 1; i < argc && read; i++) read = read_header(argv[i]);
    if (!read) {
        fprintf(stderr, "usage: ipcdoc mta/ipc/messages.h mta/ipc/messages_receiver.h\n");
        return 64;
    }
    printf("# Messages between processes\n\n"
           "For whoever reads or changes what processes say to each other. Made by `tools/ipcdoc` from `mta/ipc/messages.h`: change that, not this.\n\n"
           "One record of a `SOCK_SEQPACKET` channel is one message: a header of %d octets (magic, version %d, type, flags, body octets, zero, sequence\n"
           "number), then the fields one after another, integers little-endian. `bytes` have a u32 count in front; `id` is a message id (u64); `addr` is\n"
           "family, 16 octets of address, port. A maximum is in octets for `bytes`, else the greatest value; none given means any. A record has at most\n"
           "%d octets. Whatever does not fit this table closes the channel.\n\n"
           "ANY is every role but the master; its messages are handled by the skeleton (`mta/process/`).\n",
        IPC_HEADER_BYTES, IPC_VERSION, IPC_RECORD_BYTES_MAX);
    IPC_MESSAGES(MESSAGE_DOC)
    return ferror(stdout) ? 1 : 0;
}
