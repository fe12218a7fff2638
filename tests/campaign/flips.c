/*
 * flips - one octet of a stopped queue is changed, in the log or in the index: at most the one message whose record was hit may suffer.
 *
 *   flips FOLDER SCRATCH COUNT SEED
 *
 * FOLDER is read once. Each of COUNT copies has another octet changed, anywhere in log/ or index/, and is opened by the queue in a process of its own.
 * It must open (a second time, if it said that only a start can mend the index); every message must be there with the content that it had, but for one
 * at most, and for none when the octet was the index's. No content may be another than it was. Prints a line of JSON.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/must.h"
#include "look.h"

enum { FILES_MAX = 64, MESSAGES_MAX = 20000, SECONDS_MAX = 60, HEAD_BYTES = 4096, NEAR_PERCENT = 70 };
enum result { GOOD = 0, CANNOT_OPEN, ANOTHER_START, TOO_MANY_MISSING, TOO_MANY_BROKEN, CHANGED, NOT_BALANCED };
static const char *const words[] = {"good", "cannot be opened", "wants another start", "messages are missing", "contents are broken", "a content is another",
                                    "the books do not balance"};

static struct file { char name[80]; uint8_t *octets; size_t bytes, used; bool is_index; } files[FILES_MAX];
static uint32_t file_count;
struct message { uint64_t id; uint32_t sum; bool seen; };
static struct messages { uint32_t count, found; struct message list[MESSAGES_MAX]; } *known; /* shared: the first child fills it */

static void read_folder(const char *folder, const char *below)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, below);
    DIR *d = opendir(path);
    must(d != NULL);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        struct stat st;
        struct file *f = &files[file_count];
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || strcmp(e->d_name, "lock.mdb") == 0) {
            if (fd >= 0) close(fd);
            continue;
        }
        must(file_count++ < FILES_MAX);
        snprintf(f->name, sizeof(f->name), "%s/%.60s", below, e->d_name);
        f->bytes = (size_t)st.st_size;
        f->is_index = strcmp(below, "index") == 0;
        f->octets = malloc(f->bytes);
        must(f->octets && pread(fd, f->octets, f->bytes, 0) == st.st_size);
        for (f->used = f->bytes; f->used > 0 && f->octets[f->used - 1] == 0;) f->used--;
        close(fd);
    }
    closedir(d);
}

static void write_folder(const char *scratch)
{
    char path[700];
    must(mkdir(scratch, 0700) == 0);
    snprintf(path, sizeof(path), "%s/log", scratch);
    must(mkdir(path, 0700) == 0);
    snprintf(path, sizeof(path), "%s/index", scratch);
    must(mkdir(path, 0700) == 0);
    for (uint32_t i = 0; i < file_count; i++) {
        snprintf(path, sizeof(path), "%.500s/%.79s", scratch, files[i].name);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        must(fd >= 0 && pwrite(fd, files[i].octets, files[i].used, 0) == (ssize_t)files[i].used && ftruncate(fd, (off_t)files[i].bytes) == 0);
        close(fd);
    }
    snprintf(path, sizeof(path), "%s/index.trial", scratch);
    int fd = random() % 2 ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1; /* after a kill; or after an orderly end */
    if (fd >= 0) close(fd);
}

/* ---- in a process of its own ---- */

static void on_row(void *context, const struct queue_row *row)
{
    struct messages *m = context;
    uint32_t i = 0;
    while (i < m->count && m->list[i].id != row->message->id.v) i++;
    if (i == m->count) return;
    m->found += !m->list[i].seen;
    m->list[i].seen = true;
}

static void on_first_row(void *context, const struct queue_row *row)
{
    struct messages *m = context;
    must(m->count < MESSAGES_MAX);
    m->list[m->count++].id = row->message->id.v;
}

/* sum_of - of a message's whole content; false when it cannot be had. */
static bool sum_of(struct queue *q, uint64_t id, uint32_t *sum)
{
    static uint64_t cookie;
    struct queue_event event = {0};
    if (!queue_content_head(q, (struct message_id){id}, 1 << 20, ++cookie, &event.content) && look_until(q, &event, cookie) != QUEUE_BODY_READY) return false;
    *sum = crc32c(crc32c(0, event.content.prefix), event.content.body);
    return true;
}

static enum result learn(const char *folder)
{
    struct queue *q = look_open(folder);
    struct message_id after = {0};
    if (!q) return CANNOT_OPEN;
    do after = queue_walk(q, after, 1000, on_first_row, known);
    while (after.v);
    for (uint32_t i = 0; i < known->count; i++) must(sum_of(q, known->list[i].id, &known->list[i].sum));
    return GOOD;
}

static enum result look(const char *folder, bool index_hit)
{
    struct queue *q = look_open(folder);
    struct message_id after = {0};
    struct queue_totals totals;
    uint32_t broken = 0, sum = 0;
    if (!q) return CANNOT_OPEN;
    do after = queue_walk(q, after, 1000, on_row, known);
    while (after.v && !queue_fault(q));
    for (uint32_t i = 0; i < known->count && !queue_fault(q); i++) {
        if (!known->list[i].seen) continue;
        if (!sum_of(q, known->list[i].id, &sum)) broken++;
        else if (sum != known->list[i].sum) return CHANGED;
    }
    if (queue_fault(q)) return ANOTHER_START;
    uint32_t missing = known->count - known->found;
    queue_totals(q, &totals);
    if (missing + broken) fprintf(stderr, "damage: %u messages are missing, %u cannot be read\n", missing, broken);
    if (missing > !index_hit) return TOO_MANY_MISSING;
    if (missing + broken > !index_hit) return TOO_MANY_BROKEN;
    return totals.audit.balanced ? GOOD : NOT_BALANCED;
}

static int in_child(const char *folder, bool first, bool index_hit, const char *said)
{
    int status;
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        int fd = open(said, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        dup2(fd, STDERR_FILENO);
        alarm(SECONDS_MAX);
        look_settle_memory();
        _exit((int)(first ? learn(folder) : look(folder, index_hit)));
    }
    must(waitpid(child, &status, 0) == child);
    for (uint32_t i = 0; i < known->count; i++) known->list[i].seen = false;
    known->found = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* was_felt - whether the queue had anything to say of damage. */
static bool was_felt(const char *said)
{
    char text[4096] = "";
    int fd = open(said, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool felt = read(fd, text, sizeof(text) - 1) > 0 && strstr(text, "damage");
    close(fd);
    return felt;
}

/* choose - a file, rather by how much is in it than by its size, and an octet of it: mostly one that is used. */
static struct file *choose(size_t *at)
{
    struct file *f;
    do f = &files[(uint32_t)random() % file_count];
    while (f->bytes == 0);
    size_t range = f->used && random() % 100 < NEAR_PERCENT ? f->used : f->bytes;
    if (random() % 8 == 0 && range > HEAD_BYTES) range = HEAD_BYTES;
    *at = (size_t)random() % range;
    return f;
}

int main(int argc, char **argv)
{
    if (argc != 5) return 2;
    uint64_t count = strtoull(argv[3], NULL, 10), bad = 0, starts = 0, felt = 0;
    char said[512];
    snprintf(said, sizeof(said), "%s.said", argv[2]);
    srandom((unsigned)strtoul(argv[4], NULL, 10));
    known = mmap(NULL, sizeof(*known), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(known != MAP_FAILED);
    read_folder(argv[1], "log");
    read_folder(argv[1], "index");
    write_folder(argv[2]);
    must(in_child(argv[2], true, false, said) == GOOD && known->count > 0);
    look_remove(argv[2]);
    for (uint64_t n = 0; n < count; n++) {
        size_t at;
        struct file *f = choose(&at);
        uint8_t before = f->octets[at];
        size_t used = f->used;
        f->octets[at] = (uint8_t)(before ^ (1 + (unsigned)random() % 255));
        if (at >= f->used) f->used = at + 1;
        unlink(said);
        write_folder(argv[2]);
        int result = in_child(argv[2], false, f->is_index, said);
        for (int again = 0; result == ANOTHER_START && again < 2; again++, starts++) result = in_child(argv[2], false, f->is_index, said);
        felt += was_felt(said);
        if (result) fprintf(stderr, "%s at %zu, %02x to %02x: %s (%d)\n", f->name, at, before, f->octets[at], result < 128 ? words[result] : "died", result);
        f->octets[at] = before;
        f->used = used;
        char kept[512];
        snprintf(kept, sizeof(kept), "%s-bad-%" PRIu64, argv[2], ++bad);
        if (!result) bad--;
        if (!result || bad > 3 || rename(argv[2], kept) != 0) look_remove(argv[2]);
    }
    unlink(said);
    printf("{\"flips\": %" PRIu64 ", \"bad\": %" PRIu64 ", \"felt\": %" PRIu64 ", \"second starts\": %" PRIu64 ", \"messages\": %u}\n",
           count, bad, felt, starts, known->count);
    return bad > 0;
}
