/*
 * embedded - the configuration that runs when none is given: loopback, unprivileged ports, everything under one folder.
 *
 * It is a text in the same grammar, judged by the same parser, so that it cannot drift from what a file may say.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mta/config/load.h"
#include "smtp/address.h"

enum { HOSTS_LINE_BYTES_MAX = 1024 };

/* "192.0.2.1 full.name short": the first name of a line that has `name` in it, when it is name plus a domain. */
static struct bytes full_name_in(struct bytes line, struct bytes name)
{
    struct bytes first = {0}, word;
    line = bytes_slice(line, 0, bytes_find(line, '#'));
    bool listed = false;
    for (uint32_t n = 0; line.len > 0;) {
        while (line.len > 0 && (line.ptr[0] <= ' ')) line = bytes_from(line, 1);
        uint32_t end = 0;
        while (end < line.len && line.ptr[end] > ' ') end++;
        word = bytes_slice(line, 0, end);
        line = bytes_from(line, end);
        if (word.len == 0) break;
        if (n++ == 1) first = word;
        if (n > 1 && bytes_equal_nocase(word, name)) listed = true;
    }
    bool extends = first.len > name.len + 1 && bytes_starts_nocase(first, name) && first.ptr[name.len] == '.';
    return listed && extends ? first : (struct bytes){0};
}

/* /etc/hosts is asked and not the resolver: a start must not hang on somebody's name server. */
static bool full_name_from_hosts(struct bytes name, struct buf *out)
{
    char line[HOSTS_LINE_BYTES_MAX];
    bool found = false;
    FILE *hosts = fopen("/etc/hosts", "re");
    while (hosts && !found && fgets(line, sizeof line, hosts)) {
        struct bytes full = full_name_in(bytes_of_cstr(line), name);
        found = full.len > 0 && smtp_domain_valid(full, false);
        if (found) buf_put(out, full);
    }
    if (hosts) fclose(hosts);
    return found;
}

void system_hostname(struct buf *out)
{
    char name[HOST_NAME_BYTES_MAX + 1] = "";
    if (gethostname(name, sizeof name - 1) != 0 || !smtp_domain_valid(bytes_of_cstr(name), false)) {
        BUF_LIT(out, "localhost");
        return;
    }
    struct bytes given = bytes_of_cstr(name);
    if (bytes_find(given, '.') < given.len || !full_name_from_hosts(given, out)) buf_put(out, given);
}

static bool has_ipv6_loopback(void)
{
    struct net_address loopback = {NET_IPV6, {[15] = 1}, 0};
    struct sockaddr_storage storage;
    uint32_t bytes = net_to_sockaddr(&loopback, &storage);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool usable = bind(fd, (const struct sockaddr *)&storage, bytes) == 0;
    close(fd);
    return usable;
}

static void put_path(struct buf *out, struct bytes folder, const char *rest)
{
    uint8_t memory[GRAMMAR_WORD_BYTES_MAX];
    struct buf path = BUF_OVER(memory);
    while (folder.len > 1 && folder.ptr[folder.len - 1] == '/') folder.len--;
    buf_put(&path, folder);
    buf_put_cstr(&path, rest);
    if (path.overflow) out->overflow = true;
    put_word(out, buf_bytes(&path));
}

bool embedded_text(const char *state_dir, struct buf *out)
{
    struct bytes folder = bytes_of_cstr(state_dir);
    BUF_LIT(out, "config-version 1\nhostname ");
    system_hostname(out);
    BUF_LIT(out, "\nlisten local {\n    address 127.0.0.1:2525");
    if (has_ipv6_loopback()) BUF_LIT(out, " [::1]:2525");
    BUF_LIT(out, "\n    trust local\n}\nroute local {\n    match any\n    maildir ");
    put_path(out, folder, "/mail/{domain}/{local}");
    /* Fixed numbers, so that what a first run left is not somebody else's once `make install` has made the users. */
    BUF_LIT(out, "\n}\nmailbox { create on }\nuid-base 61100\nrun-dir ");
    put_path(out, folder, "");
    BUF_LIT(out, "\nqueue { path ");
    put_path(out, folder, "/queue");
    BUF_LIT(out, " }\ncontrol { socket ");
    put_path(out, folder, "/control.sock");
    BUF_LIT(out, " }\n");
    return !out->overflow;
}
