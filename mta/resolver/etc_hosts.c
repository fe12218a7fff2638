/* etc_hosts - the operator's own names, for `relay smtp://NAME`; read once, bounded. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mta/resolver/resolver.h"

struct entry { struct bytes name; struct net_address address; };

static struct entry entries[HOSTS_FILE_ENTRIES_MAX];
static uint32_t entry_count;
static uint8_t text[HOSTS_FILE_BYTES_MAX];

static struct bytes word(struct bytes *line)
{
    *line = bytes_trim(*line);
    uint32_t n = 0;
    while (n < line->len && line->ptr[n] != ' ' && line->ptr[n] != '\t') n++;
    struct bytes w = bytes_slice(*line, 0, n);
    *line = bytes_from(*line, n);
    return w;
}

static void take_line(struct bytes line)
{
    struct net_address a;
    line = bytes_slice(line, 0, bytes_find(line, '#'));
    if (!net_parse_ip(word(&line), &a)) return;
    for (struct bytes name = word(&line); name.len && entry_count < HOSTS_FILE_ENTRIES_MAX; name = word(&line)) entries[entry_count++] = (struct entry){name, a};
}

void etc_hosts_read(void)
{
    int fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    struct bytes rest = bytes_of(text, n > 0 ? (uint32_t)n : 0);
    while (rest.len) {
        uint32_t end = bytes_find(rest, '\n');
        take_line(bytes_slice(rest, 0, end));
        rest = bytes_from(rest, end + 1);
    }
}

bool etc_hosts_find(struct bytes name, struct host *out)
{
    out->name = name;
    out->address_count = 0;
    for (uint32_t i = 0; i < entry_count && out->address_count < HOST_ADDRESSES_MAX; i++)
        if (bytes_equal_nocase(entries[i].name, name)) out->addresses[out->address_count++] = entries[i].address;
    return out->address_count > 0;
}
