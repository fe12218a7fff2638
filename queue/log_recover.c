/*
 * log_recover - what files there are, which of them are this log's, and in which order.
 *
 * Nothing on disk is believed: a head that fails its check is replaced by what the records behind it say; a file that is nobody's is moved to damage/.
 * Failing system calls end the start with an error instead, since passing over a file that cannot be opened now would lose what is in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/log_file.h"
#include "queue/log_internal.h"

enum { NUMBER_DIGITS_MAX = 9, LOAD_STEP_BYTES = 1024 * 1024, READ_TRIES = 3 };

/* A file as found, before it is known what it is. */
struct finding {
    struct segment *segment;
    struct segment_head head;
    bool head_is_whole, is_stray;
};

struct findings {
    struct finding *v;
    uint32_t count, cap;
};

enum err qlog_numbers_add(struct numbers *set, uint64_t n)
{
    if (qlog_numbers_have(set, n)) return ERR_NONE;
    if (set->count == set->cap) {
        uint32_t cap = set->cap ? set->cap * 2 : 32;
        uint64_t *v = reallocarray(set->v, cap, sizeof(*v));
        if (!v) return ERR_NO_MEMORY;
        set->v = v;
        set->cap = cap;
    }
    uint32_t i = set->count++;
    for (; i > 0 && set->v[i - 1] > n; i--) set->v[i] = set->v[i - 1];
    set->v[i] = n;
    return ERR_NONE;
}

bool qlog_numbers_have(const struct numbers *set, uint64_t n)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set->v[middle] < n) low = middle + 1;
        else high = middle;
    }
    return low < set->count && set->v[low] == n;
}

/* load_blocks - the same block by block: what cannot be read even so is zeroes, and counted. */
static enum err load_blocks(const struct segment *s, uint64_t from, uint8_t *memory, uint64_t n, uint32_t *unreadable)
{
    for (uint64_t at = 0; at < n; at += QLOG_BLOCK_BYTES) {
        uint64_t got = 0, want = n - at < QLOG_BLOCK_BYTES ? n - at : QLOG_BLOCK_BYTES;
        enum err e = ERR_IO;
        for (int tries = 0; tries < READ_TRIES && e == ERR_IO; tries++) e = qfile_read(s->fd, from + at, memory + at, want, &got);
        if (e != ERR_NONE && e != ERR_IO) return e;
        if (e == ERR_IO) {
            got = 0;
            ++*unreadable;
        }
        memset(memory + at + got, 0, want - got);
    }
    return ERR_NONE;
}

enum err qlog_segment_load(const struct segment *s, uint64_t from, uint64_t n, uint8_t *memory, uint32_t *unreadable)
{
    must(from <= s->bytes && n <= s->bytes - from);
    for (uint64_t at = 0; at < n;) {
        uint64_t got, want = n - at < LOAD_STEP_BYTES ? n - at : LOAD_STEP_BYTES;
        enum err e = qfile_read(s->fd, from + at, memory + at, want, &got);
        if (e != ERR_NONE || got < want) e = load_blocks(s, from + at, memory + at, want, unreadable);
        if (e != ERR_NONE) return e;
        at += want;
    }
    return ERR_NONE;
}

void qlog_damage_keep(const struct qlog *log, uint64_t generation, uint32_t offset, struct bytes octets)
{
    char name[64];
    int folder, fd;
    if (octets.len == 0 || qfile_folder(log->options.folder_fd, "damage", &folder) != ERR_NONE) return;
    int n = snprintf(name, sizeof(name), "%llu-%u", (unsigned long long)generation, offset);
    must(n > 0 && n < (int)sizeof(name));
    /* The same damage is met at every start until the index is past it: one copy is enough. */
    if (qfile_open(folder, name, O_WRONLY | O_CREAT | O_EXCL, &fd) == ERR_NONE) {
        bool kept = qfile_write(fd, 0, octets.ptr, octets.len) == ERR_NONE && qfile_sync_all(fd) == ERR_NONE;
        if (!kept) unlinkat(folder, name, 0);
        close(fd);
    }
    close(folder);
}

/* set_aside - a file that is not of this log goes to damage/. It is not used in any case. */
static void set_aside(const struct qlog *log, const struct segment *s)
{
    char from[FILE_NAME_BYTES], to[64];
    int folder;
    qlog_segment_name(from, s->number, "seg");
    if (qfile_folder(log->options.folder_fd, "damage", &folder) != ERR_NONE) return;
    for (uint32_t n = 0; n < 1000; n++) {
        int length = snprintf(to, sizeof(to), "%04u.seg.%u", s->number, n);
        must(length > 0 && length < (int)sizeof(to));
        if (renameat2(log->folder, from, folder, to, RENAME_NOREPLACE) == 0 || errno != EEXIST) break;
    }
    close(folder);
}

/* parse_name - "<digits>.<suffix>"; false for names that are not ours. */
static bool parse_name(const char *name, const char *suffix, uint32_t *number)
{
    struct bytes text = bytes_of_cstr(name);
    uint32_t dot = bytes_find(text, '.');
    uint64_t value;
    if (dot > NUMBER_DIGITS_MAX || !bytes_equal(bytes_from(text, dot + 1), bytes_of_cstr(suffix))) return false;
    if (!bytes_to_u64(bytes_slice(text, 0, dot), &value)) return false;
    *number = (uint32_t)value;
    return true;
}

static enum err examine(const struct qlog *log, const char *name, uint32_t number, struct finding *out, bool *use)
{
    uint8_t block[SEGMENT_HEAD_BYTES] = {0};
    uint64_t got = 0;
    struct stat st;
    struct finding f = {0};
    int fd;
    *use = false;
    if (fstatat(log->folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return err_from_errno(errno);
    if (!S_ISREG(st.st_mode)) return ERR_NONE;
    enum err e = qfile_open(log->folder, name, O_RDWR, &fd);
    if (e != ERR_NONE) return e;
    for (int tries = 0; tries < READ_TRIES; tries++) {
        e = qfile_read(fd, 0, block, sizeof(block), &got);
        if (e != ERR_IO) break;
    }
    struct segment *s = e == ERR_NONE || e == ERR_IO ? calloc(1, sizeof(*s)) : NULL;
    if (!s) {
        close(fd);
        return e == ERR_NONE || e == ERR_IO ? ERR_NO_MEMORY : e;
    }
    /* What is behind the last whole block, or the largest segment, is nothing that this program wrote. */
    uint64_t bytes = (uint64_t)st.st_size & ~(uint64_t)(QLOG_BLOCK_BYTES - 1);
    *s = (struct segment){.fd = fd, .number = number, .bytes = bytes < QLOG_SEGMENT_BYTES_MAX ? bytes : QLOG_SEGMENT_BYTES_MAX};
    f.segment = s;
    enum err judged = e == ERR_NONE ? segment_head_get(bytes_of(block, (uint32_t)got), &f.head) : ERR_CORRUPT;
    f.head_is_whole = judged == ERR_NONE;
    if (judged == ERR_BAD_VERSION) {
        qlog_segment_free(s);
        return ERR_BAD_VERSION;
    }
    *out = f;
    *use = true;
    return ERR_NONE;
}

static enum err findings_add(struct findings *all, const struct finding *f)
{
    if (all->count == all->cap) {
        uint32_t cap = all->cap ? all->cap * 2 : 32;
        struct finding *v = reallocarray(all->v, cap, sizeof(*v));
        if (!v) return ERR_NO_MEMORY;
        all->v = v;
        all->cap = cap;
    }
    all->v[all->count++] = *f;
    return ERR_NONE;
}

static enum err on_name(struct qlog *log, const char *name, struct findings *all)
{
    uint32_t number;
    struct finding f;
    bool use;
    bool unfinished = parse_name(name, "new", &number);
    if (!unfinished && !parse_name(name, "seg", &number)) return ERR_NONE;
    if (number >= log->next_number) log->next_number = number + 1;
    if (unfinished) {
        unlinkat(log->folder, name, 0); /* if it stays, it only takes space */
        return ERR_NONE;
    }
    enum err e = examine(log, name, number, &f, &use);
    if (e != ERR_NONE || !use) return e;
    e = findings_add(all, &f);
    if (e != ERR_NONE) qlog_segment_free(f.segment);
    return e;
}

static enum err list_files(struct qlog *log, struct findings *all)
{
    int fd;
    enum err e = qfile_open(log->folder, ".", O_RDONLY | O_DIRECTORY, &fd);
    if (e != ERR_NONE) return e;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        e = err_from_errno(errno);
        close(fd);
        return e;
    }
    while (e == ERR_NONE) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            if (errno != 0) e = err_from_errno(errno);
            break;
        }
        e = on_name(log, entry->d_name, all);
    }
    closedir(folder);
    return e;
}

/* choose_uuid - of most of the heads; of equally many, of the one with the newest segment. */
static void choose_uuid(struct qlog *log, const struct findings *all)
{
    uint32_t best_count = 0;
    uint64_t best_generation = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct finding *f = &all->v[i];
        uint32_t count = 0;
        uint64_t generation = 0;
        if (!f->head_is_whole) continue;
        for (uint32_t j = 0; j < all->count; j++) {
            const struct segment_head *h = &all->v[j].head;
            if (!all->v[j].head_is_whole || memcmp(h->uuid, f->head.uuid, sizeof(h->uuid)) != 0) continue;
            count++;
            if (h->generation > generation) generation = h->generation;
        }
        if (count < best_count || (count == best_count && generation <= best_generation)) continue;
        best_count = count;
        best_generation = generation;
        memcpy(log->uuid, f->head.uuid, sizeof(log->uuid));
    }
}

/* newest_within - the highest generation of any record in a segment with a bad head, 0 = none; adopts the log's id when there is none yet. */
static enum err newest_within(struct qlog *log, const struct segment *s, uint64_t *generation, bool *is_blank)
{
    uint32_t unreadable = 0;
    struct record_head h;
    struct bytes body;
    bool whole;
    *generation = 0;
    *is_blank = true;
    if (s->bytes == 0) return ERR_NONE;
    uint8_t *memory = malloc(s->bytes);
    if (!memory) return ERR_NO_MEMORY;
    enum err e = qlog_segment_load(s, 0, s->bytes, memory, &unreadable);
    struct record_scan scan = {.in = bytes_of(memory, (uint32_t)s->bytes), .log_id = log->uuid[0]};
    while (e == ERR_NONE && record_scan_next(&scan, &h, &body, &whole)) {
        if (log->uuid[0] == 0) log->uuid[0] = scan.log_id = h.log_id;
        if (h.generation > *generation) *generation = h.generation;
    }
    for (uint64_t i = 0; e == ERR_NONE && i < s->bytes && *is_blank; i++) *is_blank = memory[i] == 0;
    if (unreadable > 0) *is_blank = false;
    free(memory);
    return e;
}

/* judge_headless - a segment whose head cannot be believed: its records say what it is. */
static enum err judge_headless(struct qlog *log, struct finding *f, struct qlog_recovery *recovery)
{
    bool is_blank;
    uint64_t generation;
    enum err e = newest_within(log, f->segment, &generation, &is_blank);
    if (e != ERR_NONE) return e;
    f->segment->head_is_bad = true;
    f->head.generation = generation;
    if (generation == 0 && !is_blank) f->is_stray = true;
    if (!is_blank) recovery->damaged_files++;
    return ERR_NONE;
}

static enum err judge(struct qlog *log, struct findings *all, struct qlog_recovery *recovery)
{
    enum err e = ERR_NONE;
    uint64_t oldest = 0;
    choose_uuid(log, all);
    for (uint32_t i = 0; i < all->count && e == ERR_NONE; i++) {
        struct finding *f = &all->v[i];
        if (!f->head_is_whole) {
            e = judge_headless(log, f, recovery);
        } else if (memcmp(f->head.uuid, log->uuid, sizeof(log->uuid)) != 0) {
            f->is_stray = true;
            recovery->damaged_files++;
        } else if (f->head.oldest > oldest) {
            oldest = f->head.oldest;
        }
    }
    for (uint32_t i = 0; i < all->count && e == ERR_NONE; i++) {
        struct finding *f = &all->v[i];
        struct segment *s = f->segment;
        s->generation = f->head.generation;
        s->retired = f->head.retired;
        s->oldest = f->head.oldest;
        s->first_group = f->head.first_group;
        s->first_sequence = f->head.first_sequence;
        if (s->generation > log->newest) log->newest = s->generation;
        if (s->retired > log->newest) log->newest = s->retired;
        if (s->generation != 0 && s->generation < oldest) { /* it was free already: only its head does not say so yet */
            s->retired = s->generation;
            s->generation = 0;
            s->head_is_bad = true;
        }
        if (s->generation != 0 && s->bytes < 2 * QLOG_BLOCK_BYTES) f->is_stray = true;
    }
    return e;
}

static int by_generation(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    uint64_t gx = x->segment->generation, gy = y->segment->generation;
    if (gx != gy) return gx < gy ? -1 : 1;
    /* Of two with the same generation (somebody's copy) a believable head wins, then the lower number. */
    if (x->segment->head_is_bad != y->segment->head_is_bad) return x->segment->head_is_bad ? 1 : -1;
    return x->segment->number < y->segment->number ? -1 : x->segment->number > y->segment->number;
}

static enum err file_away(struct qlog *log, struct finding *f, struct qlog_recovery *recovery)
{
    struct segment *s = f->segment;
    const struct segment *before = log->live_count > 0 ? log->live[log->live_count - 1] : NULL;
    if (!f->is_stray && s->generation != 0 && before && before->generation == s->generation) {
        f->is_stray = true;
        recovery->damaged_files++;
    }
    if (f->is_stray) {
        set_aside(log, s);
        qlog_segment_free(s);
        f->segment = NULL;
        return ERR_NONE;
    }
    enum err e;
    if (s->generation != 0) {
        s->state = SEGMENT_LIVE;
        e = qlog_segments_add_live(log, s);
    } else {
        bool ready = !s->head_is_bad && s->bytes == log->options.segment_bytes;
        s->state = ready ? SEGMENT_SPARE : SEGMENT_RETIRED;
        e = qlog_segments_add_idle(log, s);
    }
    if (e != ERR_NONE) return e;
    log->file_bytes += s->bytes;
    f->segment = NULL; /* the list has it */
    return ERR_NONE;
}

static enum err mend(const struct qlog *log, const struct segment *s)
{
    if (!s->head_is_bad) return ERR_NONE;
    enum err e = qlog_segment_write_head(log, s);
    return e == ERR_NONE ? qfile_sync(s->fd) : e;
}

/*
 * mend_heads - so that the same is not found again at the next start. Heads of segments that were free must say so before a file that told of it is set
 * aside: its word is gone then, and their records would come back to life.
 */
static enum err mend_heads(const struct qlog *log, const struct findings *all)
{
    enum err e = ERR_NONE;
    uint64_t before = 0;
    for (uint32_t i = 0; i < all->count && e == ERR_NONE; i++) {
        const struct finding *f = &all->v[i];
        const struct segment *s = f->segment;
        bool is_copy = s->generation != 0 && s->generation == before, is_blank = s->generation == 0 && s->retired == 0;
        if (f->is_stray || is_copy || is_blank) continue;
        e = mend(log, s);
        before = s->generation;
    }
    return e;
}

enum err qlog_recover_segments(struct qlog *log, struct qlog_recovery *recovery)
{
    struct findings all = {0};
    log->next_number = 1;
    enum err e = list_files(log, &all);
    if (e == ERR_NONE) e = judge(log, &all, recovery);
    if (e == ERR_NONE && log->uuid[0] == 0 && getrandom(log->uuid, sizeof(log->uuid), 0) != (ssize_t)sizeof(log->uuid)) e = ERR_SYSTEM;
    if (e == ERR_NONE && log->uuid[0] == 0) log->uuid[0] = 1; /* 0 means none */
    if (e == ERR_NONE && all.count > 0) qsort(all.v, all.count, sizeof(*all.v), by_generation);
    if (e == ERR_NONE) e = mend_heads(log, &all);
    for (uint32_t i = 0; i < all.count && e == ERR_NONE; i++) e = file_away(log, &all.v[i], recovery);
    for (uint32_t i = 0; i < all.count; i++) qlog_segment_free(all.v[i].segment);
    free(all.v);
    recovery->segments = log->live_count;
    return e;
}
