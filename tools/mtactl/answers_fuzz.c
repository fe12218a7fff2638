/*
 * answers_fuzz - mtactl reads what mtad answers: any octets, in pieces of any size, by every command that shows something. Whatever comes, the command ends
 * with an exit code of the contract, and nothing that a terminal obeys is printed.
 *
 * The first octet picks the command, the second its format, the third how much arrives at once. The linker puts the functions below in the place of the
 * socket's.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "mtactl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***words);
int __wrap_connect(int fd, const struct sockaddr *where, socklen_t n);
ssize_t __wrap_send(int fd, const void *octets, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *octets, size_t n, int flags);

static struct bytes answer;
static uint32_t piece;
static char *printed;
static size_t printed_bytes;

int usage(const char *text, const char *word)
{
    (void)text;
    (void)word;
    return ADMIN_USAGE;
}

int __wrap_connect(int fd, const struct sockaddr *where, socklen_t n)
{
    (void)fd;
    (void)where;
    (void)n;
    return 0;
}

ssize_t __wrap_send(int fd, const void *octets, size_t n, int flags)
{
    (void)fd;
    (void)octets;
    (void)flags;
    return (ssize_t)n;
}

ssize_t __wrap_recv(int fd, void *octets, size_t n, int flags)
{
    (void)fd;
    (void)flags;
    struct bytes one = bytes_slice(answer, 0, n < piece ? (uint32_t)n : piece);
    if (one.len > 0) memcpy(octets, one.ptr, one.len);
    answer = bytes_from(answer, one.len);
    return (ssize_t)one.len;
}

static int (*const commands[])(struct ctl *c, const char *const *arguments, uint32_t count) = {
    command_queue_list, command_queue_show, command_queue_count, command_queue_check, command_queue_discard, command_site_list, command_site_suspend,
    command_crash_list, command_crash_show, command_crash_clear, command_status, command_crash_export, /* the last gives raw octets, on purpose */
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const char *argument_of(uint32_t command)
{
    if (commands[command] == command_queue_show || commands[command] == command_queue_discard) return "0123456789abcdef";
    if (commands[command] == command_crash_show || commands[command] == command_crash_export) return "1";
    return commands[command] == command_site_suspend ? "example.org" : NULL;
}

/* check_printed - control octets stand in JSON and raw octets only: there they are what was asked for. */
static void check_printed(bool raw)
{
    for (size_t i = 0; !raw && i < printed_bytes; i++) {
        uint8_t c = (uint8_t)printed[i];
        must((c >= ' ' && c != 127) || c == '\n');
        must(c != 0xc2 || i + 1 == printed_bytes || (uint8_t)printed[i + 1] >= 0xa0 || (uint8_t)printed[i + 1] < 0x80);
    }
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count;
    (void)words;
    stderr = fopen("/dev/null", "w"); /* the fuzzer has its own by now */
    return stderr == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 64 * 1024) return 0;
    uint32_t command = data[0] % COMMAND_COUNT;
    struct ctl c = {.socket = "control", .no_color = true, .format = (enum format)(data[1] % 4), .json = data[1] % 4 == FORMAT_JSON, .yes = data[1] & 4};
    const char *argument = argument_of(command);
    FILE *terminal = stdout;
    piece = 1u + data[2] * data[2];
    answer = bytes_of(data + 3, (uint32_t)size - 3);
    stdout = open_memstream(&printed, &printed_bytes);
    must(stdout != NULL);
    int code = commands[command](&c, &argument, argument != NULL);
    fclose(stdout);
    stdout = terminal;
    check_printed(c.json || c.format == FORMAT_POSTFIX_JSON || command == COMMAND_COUNT - 1);
    free(printed);
    must(code >= ADMIN_OK && code <= ADMIN_PARTIAL);
    return 0;
}
