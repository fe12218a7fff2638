/*
 * images - every disk that a power cut could have left behind while a tapped manager worked (tap.h), recovered and checked.
 *
 *   images JOURNAL ARRIVALS FOLDER COUNT SEED [lying]
 *
 * The journal is played into a model of a disk (disk.h). COUNT images are spread over all places in the journal. Each is written to FOLDER, opened by the queue in a process of its own,
 * and must hold every message that had been confirmed to a receiver and had not arrived (ARRIVALS: lines of id and journal position), with its content;
 * queue_check() must find nothing, the books must balance, and now and then it must take another message and survive one more start.
 * Prints a line of JSON. What was bad stays in FOLDER-bad-N. `lying`: as if the disk ignored every sync, which must be found out.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "disk.h"
#include "look.h"
#include "queue/queue.h"

enum {
    MESSAGES_MAX = 200000, IMAGE_SECONDS_MAX = 30, BAD_MAX = 5, CONTENTS_MAX = 4, MORE_EVERY = 8,
    COMMITTED = 32, IPC_HEADER = 24
};

static struct { uint64_t id, committed, arrived; bool seen; } messages[MESSAGES_MAX];
static uint32_t message_count;
static const char *folder_path;
static char said_path[512];
static uint64_t *more_id;     /* shared with the children */
static uint64_t images, bad;

/* ---- the check, in a process of its own ---- */

enum result { GOOD = 0, CANNOT_OPEN, LOST, NOT_CHECKED_OUT, NOT_BALANCED, CONTENT_BROKEN, NOT_TAKEN, LOST_LATER };
static const char *const result_words[] = {
    [CANNOT_OPEN] = "cannot be opened", [LOST] = "a confirmed message is lost", [NOT_CHECKED_OUT] = "queue_check found something",
    [NOT_BALANCED] = "the books do not balance", [CONTENT_BROKEN] = "a content is broken", [NOT_TAKEN] = "no new message is taken",
    [LOST_LATER] = "a message is lost after the next start",
};

static void on_row(void *context, const struct queue_row *row)
{
    uint64_t *walked = context;
    (*walked)++;
    for (uint32_t i = 0; i < message_count; i++) {
        if (messages[i].id == row->message->id.v) messages[i].seen = true;
    }
}

static enum result look(struct queue *q, uint64_t cut, enum result if_lost)
{
    struct message_id after = {0};
    uint64_t walked = 0;
    struct queue_totals totals;
    do {
        after = queue_walk(q, after, 1000, on_row, &walked);
    } while (after.v);
    for (uint32_t i = 0; i < message_count; i++) {
        if (!messages[i].committed || messages[i].committed > cut || messages[i].arrived <= cut || messages[i].seen) continue;
        fprintf(stderr, "%016" PRIX64 " was confirmed at %" PRIu64 " and is not there at %" PRIu64 "\n", messages[i].id, messages[i].committed, cut);
        return if_lost;
    }
    queue_totals(q, &totals);
    if (look_problems(q) != 0) return NOT_CHECKED_OUT;
    return totals.audit.balanced && totals.messages == walked ? GOOD : NOT_BALANCED;
}

static enum result contents(struct queue *q)
{
    uint64_t asked = 0;
    for (uint32_t i = message_count; i-- > 0 && asked < CONTENTS_MAX;) {
        struct queue_content content;
        if (!messages[i].seen) continue;
        if (!queue_content_head(q, (struct message_id){messages[i].id}, 1 << 20, ++asked, &content) && look_until(q, NULL, asked) != QUEUE_BODY_READY) return CONTENT_BROKEN;
    }
    return GOOD;
}

/* one_more - the queue goes on: it takes a message. Its id is left for the next process. */
static enum result one_more(struct queue *q)
{
    uint8_t memory[128];
    struct buf list = BUF_OVER(memory);
    rcpt_put(&list, &(struct rcpt){.address = BYTES("rcpt@to.example")});
    struct record_message m = {.sender = BYTES("s@from.example"), .rcpt_count = 1, .rcpts = buf_bytes(&list), .body = BYTES("x\r\n"), .body_bytes = 3};
    if (queue_accept(q, &m, NULL, 0, 77, clock_wall_us(), clock_mono_ms()) != ERR_NONE || look_until(q, NULL, 77) != QUEUE_COMMITTED) return NOT_TAKEN;
    *more_id = m.id.v;
    return GOOD;
}

static enum result first_look(uint64_t cut, bool with_more)
{
    struct queue *q = look_open(folder_path);
    if (!q) return CANNOT_OPEN;
    enum result r = look(q, cut, LOST);
    if (!r && with_more) r = contents(q);
    if (!r && with_more) r = one_more(q);
    if (!r && cut % 2) queue_close(q, clock_wall_us(), clock_mono_ms()); /* otherwise as if killed */
    return r;
}

static enum result second_look(uint64_t cut)
{
    messages[message_count].id = *more_id;
    messages[message_count].committed = 1;
    messages[message_count++].arrived = UINT64_MAX;
    struct queue *q = look_open(folder_path);
    return q ? look(q, cut, LOST_LATER) : CANNOT_OPEN;
}

/* in_child - a look in a process of its own; its result, or 128 and the signal that it died of. */
static int in_child(uint64_t cut, bool first, bool with_more)
{
    int status;
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        int fd = open(said_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDERR_FILENO);
        alarm(IMAGE_SECONDS_MAX);
        look_settle_memory();
        _exit((int)(first ? first_look(cut, with_more) : second_look(cut)));
    }
    must(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- all of them ---- */

static void on_sent(const uint8_t *octets, uint32_t bytes, uint64_t at)
{
    uint64_t id = 0;
    if (bytes < IPC_HEADER + 16 || octets[4] != COMMITTED || octets[5] != 0) return;
    memcpy(&id, octets + IPC_HEADER + 8, 8);
    for (uint32_t i = 0; i < message_count; i++) {
        if (messages[i].id == id) messages[i].committed = messages[i].committed ? messages[i].committed : at;
    }
}

static void one_image(uint64_t cut)
{
    bool with_more = images % MORE_EVERY == 0;
    disk_write(folder_path);
    int result = in_child(cut, true, with_more);
    if (!result && with_more) result = in_child(cut, false, false);
    images++;
    if (result) {
        char kept[512];
        fprintf(stderr, "image %" PRIu64 " at %" PRIu64 ": %s (%d)\n", images, cut, result < 128 ? result_words[result] : "died", result);
        snprintf(kept, sizeof(kept), "%s-bad-%" PRIu64, folder_path, ++bad);
        if (bad <= BAD_MAX && rename(folder_path, kept) == 0) {
            char said[600];
            snprintf(said, sizeof(said), "%s/said", kept);
            (void)!rename(said_path, said);
            return;
        }
    }
    look_remove(folder_path);
}

static const uint8_t *map_file(const char *path, uint64_t *bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && fstat(fd, &st) == 0);
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    must(at != MAP_FAILED && madvise(at, (size_t)st.st_size, MADV_DONTFORK) == 0);
    close(fd);
    *bytes = (uint64_t)st.st_size;
    return at;
}

static const struct tap_entry *entry_at(const uint8_t *journal, uint64_t at, uint64_t *next)
{
    const struct tap_entry *e = (const void *)(journal + at);
    *next = at + sizeof(*e) + ((e->bytes + 7u) & ~7u);
    return e;
}

/* list_messages - all that were ever confirmed, and when they arrived. Gives how many places there are at which the disk differs. */
static uint64_t list_messages(const uint8_t *journal, uint64_t end, const char *arrivals)
{
    uint64_t places = 0, at, next, id, when;
    for (at = TAP_JOURNAL_AT; at < end; at = next) {
        const struct tap_entry *e = entry_at(journal, at, &next);
        const uint8_t *octets = (const uint8_t *)(e + 1);
        places += e->kind != TAP_SENT && e->kind != TAP_LIFE;
        if (e->kind != TAP_SENT || e->bytes < IPC_HEADER + 16 || octets[4] != COMMITTED || octets[5] != 0) continue;
        memcpy(&id, octets + IPC_HEADER + 8, 8);
        must(message_count < MESSAGES_MAX - 1);
        messages[message_count].id = id;
        messages[message_count++].arrived = UINT64_MAX;
    }
    FILE *f = fopen(arrivals, "re");
    must(f != NULL);
    while (fscanf(f, "%" SCNx64 " %" SCNu64, &id, &when) == 2) {
        for (uint32_t i = 0; i < message_count; i++) {
            if (messages[i].id == id && when < messages[i].arrived) messages[i].arrived = when;
        }
    }
    fclose(f);
    return places;
}

int main(int argc, char **argv)
{
    if (argc < 6) return 2;
    disk_lying = argc > 6;
    uint64_t size, places, count = strtoull(argv[4], NULL, 10), next, done = 0;
    const uint8_t *journal = map_file(argv[1], &size);
    uint64_t end = ((const struct tap_head *)(const void *)journal)->used;
    folder_path = argv[3];
    snprintf(said_path, sizeof(said_path), "%s.said", folder_path);
    srandom((unsigned)strtoul(argv[5], NULL, 10));
    more_id = mmap(NULL, sizeof(*more_id), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(more_id != MAP_FAILED);
    places = list_messages(journal, end, argv[2]);
    for (uint64_t at = TAP_JOURNAL_AT; at < end; at = next) {
        const struct tap_entry *e = entry_at(journal, at, &next);
        if (e->kind == TAP_SENT) on_sent((const uint8_t *)(e + 1), e->bytes, at);
        disk_play(e, at);
        if (e->kind == TAP_SENT || e->kind == TAP_LIFE) continue;
        for (done++; images < count * done / places;) one_image(next);
    }
    unlink(said_path);
    printf("{\"images\": %" PRIu64 ", \"bad\": %" PRIu64 ", \"places\": %" PRIu64 ", \"messages\": %u}\n", images, bad, places, message_count);
    return bad > 0;
}
