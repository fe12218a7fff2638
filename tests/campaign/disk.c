/*
 * disk - see the header. The surprising thing: only an fsync of its folder makes a name certain here, not one of the file, as on some file systems.
 */
#include "disk.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"

enum {
    SECTOR_BYTES = 512, BLOCK_BYTES = 4096, NAME_BYTES = 64, NODES_MAX = 4000, OPENS_MAX = 20000, PENDING_MAX = 20000, NOWHERE = -1, ROOT = 0
};

struct place { int parent; char name[NAME_BYTES]; }; /* parent NOWHERE: it has no name */

struct node {
    bool is_folder;
    struct place sure, latest;
    uint8_t *octets;              /* synced */
    uint64_t bytes, room;
};

struct data_change { int node; bool certain, truncates; uint64_t at, offset, bytes; const uint8_t *octets; }; /* at: of its entry in the journal */
struct name_change { int node, from_parent; struct place to; };

bool disk_lying;
static struct node nodes[NODES_MAX] = {{.is_folder = true, .sure = {.parent = NOWHERE}, .latest = {.parent = NOWHERE}}};
static int node_count = 1;
static struct { uint64_t handle; int node; } opens[OPENS_MAX];
static uint32_t open_count;
static struct data_change data[PENDING_MAX];
static uint32_t data_count;
static struct name_change names[PENDING_MAX];
static uint32_t name_count;

/* ---- what is certain, and what is not ---- */

static int find(int parent, const char *name, size_t length)
{
    for (int i = 1; i < node_count; i++) {
        if (nodes[i].latest.parent == parent && strlen(nodes[i].latest.name) == length && memcmp(nodes[i].latest.name, name, length) == 0) return i;
    }
    return NOWHERE;
}

/* walk - the folder that a path's last name is in, and that name. */
static int walk(const char *path, const char **last)
{
    int at = ROOT;
    for (;;) {
        const char *slash = strchr(path, '/');
        if (!slash) break;
        at = find(at, path, (size_t)(slash - path));
        must(at != NOWHERE);
        path = slash + 1;
    }
    *last = path;
    return at;
}

static int lookup(const char *path)
{
    const char *last;
    if (!path[0]) return ROOT;
    int parent = walk(path, &last);
    return find(parent, last, strlen(last));
}

static void move_name(int node, struct place to)
{
    must(node != NOWHERE && name_count < PENDING_MAX);
    names[name_count++] = (struct name_change){.node = node, .from_parent = nodes[node].latest.parent, .to = to};
    nodes[node].latest = to;
}

static int create(const char *path, bool is_folder)
{
    const char *last;
    int parent = walk(path, &last);
    struct place to = {.parent = parent};
    must(node_count < NODES_MAX && strlen(last) < NAME_BYTES);
    memcpy(to.name, last, strlen(last) + 1);
    nodes[node_count] = (struct node){.is_folder = is_folder, .sure = {.parent = NOWHERE}, .latest = {.parent = NOWHERE}};
    move_name(node_count, to);
    return node_count++;
}

static int node_of(uint64_t handle)
{
    uint32_t i = open_count;
    while (i > 0 && opens[i - 1].handle != handle) i--;
    must(i > 0);
    return opens[i - 1].node;
}

/* grow - the checking children do not get this memory: sharing it until it is written to would cost more than all else. */
static void grow(struct node *n, uint64_t bytes)
{
    if (bytes <= n->room) return;
    uint64_t room = bytes * 2;
    uint8_t *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(at != MAP_FAILED && madvise(at, room, MADV_DONTFORK) == 0);
    if (n->room) memcpy(at, n->octets, n->bytes);
    if (n->room) munmap(n->octets, n->room);
    n->octets = at;
    n->room = room;
}

static void put(struct node *n, uint64_t offset, const uint8_t *octets, uint64_t bytes)
{
    grow(n, offset + bytes);
    memcpy(n->octets + offset, octets, bytes);
    if (offset + bytes > n->bytes) n->bytes = offset + bytes;
}

static void cut_off(struct node *n, uint64_t bytes)
{
    grow(n, bytes);
    if (bytes < n->bytes) memset(n->octets + bytes, 0, n->bytes - bytes);
    n->bytes = bytes;
}

static void sync_file(int node, uint64_t before)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < data_count; i++) {
        struct data_change *d = &data[i];
        if (d->node != node || d->at >= before) data[kept++] = *d;
        else if (d->truncates) cut_off(&nodes[node], d->bytes);
        else put(&nodes[node], d->offset, d->octets, d->bytes);
    }
    data_count = kept;
}

static void sync_folder(int folder)
{
    must(folder != NOWHERE);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < name_count; i++) {
        if (names[i].from_parent == folder || names[i].to.parent == folder) nodes[names[i].node].sure = names[i].to;
        else names[kept++] = names[i];
    }
    name_count = kept;
}

static void on_opened(const struct tap_entry *e, const char *path)
{
    int node = lookup(path);
    if (node == NOWHERE) {
        must(e->b & O_CREAT);
        node = create(path, false);
    }
    must(open_count < OPENS_MAX);
    opens[open_count].handle = e->a;
    opens[open_count++].node = node;
    if (e->b & O_TRUNC) data[data_count++] = (struct data_change){.node = node, .truncates = true};
}

static void on_renamed(const char *from, const char *to)
{
    const char *last;
    int node = lookup(from), over = lookup(to);
    must(node != NOWHERE);
    struct place place = {.parent = walk(to, &last)};
    memcpy(place.name, last, strlen(last) + 1);
    if (over != NOWHERE) move_name(over, (struct place){.parent = NOWHERE});
    move_name(node, place);
}

void disk_play(const struct tap_entry *e, uint64_t at)
{
    const char *text = (const char *)(e + 1);
    if (disk_lying && data_count == PENDING_MAX) sync_file(data[0].node, UINT64_MAX);
    must(data_count < PENDING_MAX);
    switch (e->kind) {
    case TAP_OPENED: on_opened(e, text); break;
    case TAP_WROTE:
    case TAP_WROTE_THROUGH:
        data[data_count++] = (struct data_change){.node = node_of(e->a), .certain = e->kind == TAP_WROTE_THROUGH, .at = at, .offset = e->b, .bytes = e->bytes,
                                                  .octets = (const uint8_t *)text};
        break;
    case TAP_TRUNCATED: data[data_count++] = (struct data_change){.node = node_of(e->a), .truncates = true, .at = at, .bytes = e->b}; break;
    case TAP_SYNCED: if (!disk_lying) sync_file(node_of(e->a), e->b); break;
    case TAP_RENAMED: on_renamed(text, text + strlen(text) + 1); break;
    case TAP_UNLINKED: move_name(lookup(text), (struct place){.parent = NOWHERE}); break;
    case TAP_MADE_FOLDER: (void)create(text, true); break;
    case TAP_SYNCED_FOLDER: sync_folder(lookup(text)); break;
    default: break;
    }
}

/* ---- an image ---- */

static bool chance(uint32_t percent)
{
    return (uint32_t)(random() % 100) < percent;
}

/* choose_names - which unsynced changes of folders are on this disk: none, all, the first few in order (a journalling file system), or any. */
static void choose_names(struct place places[])
{
    uint32_t manner = (uint32_t)random() % 4, first = name_count ? (uint32_t)random() % (name_count + 1) : 0;
    for (int i = 0; i < node_count; i++) places[i] = manner == 1 || (manner == 3 && chance(50)) ? nodes[i].latest : nodes[i].sure;
    for (uint32_t i = 0; manner == 2 && i < first; i++) places[names[i].node] = names[i].to;
}

static bool path_in(const char *folder, const struct place places[], int node, char *path, size_t room)
{
    char whole[4 * NAME_BYTES] = "";
    for (int at = node; at != ROOT; at = places[at].parent) {
        char longer[sizeof(whole)];
        if (at == NOWHERE || places[at].parent == NOWHERE) return false;
        int n = snprintf(longer, sizeof(longer), "/%s%.150s", places[at].name, whole);
        must(n > 0 && n < (int)sizeof(longer));
        memcpy(whole, longer, sizeof(whole));
    }
    int n = snprintf(path, room, "%s%s", folder, whole);
    must(n > 0 && n < (int)room);
    return true;
}

/* put_data - a change of a file as this disk has it: all, nothing, or any sectors of it. */
static void put_data(struct node *copy, const struct data_change *d, uint32_t percent)
{
    if (d->truncates) {
        if (chance(percent)) cut_off(copy, d->bytes);
        return;
    }
    bool torn = chance(70), whole = d->certain || (!torn && chance(percent));
    for (uint64_t at = d->offset, end = d->offset + d->bytes; at < end;) {
        uint64_t n = SECTOR_BYTES - at % SECTOR_BYTES;
        if (n > end - at) n = end - at;
        if (whole || (torn && chance(percent))) put(copy, at, d->octets + (at - d->offset), n);
        at += n;
    }
}

static void write_file(const char *path, const struct node *n)
{
    static const uint8_t zeroes[BLOCK_BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); /* two may claim a name: a lost unlink */
    size_t run = 0;           /* blocks that are not all zeroes, in one write */
    uint64_t first = 0;
    must(fd >= 0 && ftruncate(fd, (off_t)n->bytes) == 0);
    for (uint64_t at = 0; at < n->bytes; at += BLOCK_BYTES) {
        size_t bytes = n->bytes - at < BLOCK_BYTES ? (size_t)(n->bytes - at) : BLOCK_BYTES;
        if (memcmp(n->octets + at, zeroes, bytes) != 0) {
            first = run ? first : at;
            run += bytes;
            if (at + bytes < n->bytes) continue;
        }
        if (run) must(pwrite(fd, n->octets + first, run, (off_t)first) == (ssize_t)run);
        run = 0;
    }
    close(fd);
}

/* copy_sure - what is synced of a file, into a buffer that is used again and again: most of a segment is zeroes. */
static void copy_sure(struct node *copy, const struct node *n)
{
    static const uint8_t zeroes[BLOCK_BYTES];
    cut_off(copy, 0);
    grow(copy, n->bytes);
    for (uint64_t at = 0; at < n->bytes; at += BLOCK_BYTES) {
        size_t bytes = n->bytes - at < BLOCK_BYTES ? (size_t)(n->bytes - at) : BLOCK_BYTES;
        if (memcmp(n->octets + at, zeroes, bytes) != 0) memcpy(copy->octets + at, n->octets + at, bytes);
    }
    copy->bytes = n->bytes;
}

void disk_write(const char *folder)
{
    static struct place places[NODES_MAX];
    static struct node copy;
    char path[512];
    uint32_t percent = (uint32_t)(random() % 5) * 25;
    choose_names(places);
    must(mkdir(folder, 0700) == 0);
    for (int i = 1; i < node_count; i++) {
        if (nodes[i].is_folder && path_in(folder, places, i, path, sizeof(path))) must(mkdir(path, 0700) == 0);
    }
    for (int i = 1; i < node_count; i++) {
        if (nodes[i].is_folder || !path_in(folder, places, i, path, sizeof(path))) continue;
        copy_sure(&copy, &nodes[i]);
        for (uint32_t j = 0; j < data_count; j++) {
            if (data[j].node == i) put_data(&copy, &data[j], percent);
        }
        write_file(path, &copy);
    }
}
