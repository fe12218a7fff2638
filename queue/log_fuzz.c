/*
 * log_fuzz - segment files as a damaged disk could leave them, and the start over them: no content makes it fail, what was applied can be read, and a second
 * start over what the first one left finds the same.
 *
 * The input is a list of steps that write files: heads and records with right checksums and numbers of the input's choice, in order or not, then octets
 * over them. The threads of the log are left out, they read nothing.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sanitizer/asan_interface.h>

#include "base/hash.h"
#include "base/must.h"
#include "queue/log_file.h"
#include "queue/log_internal.h"
#include "queue/log_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***words);

enum { SEGMENT = QLOG_SEGMENT_BYTES_MIN, FILES_MAX = 4, FOUND_MAX = 2048, LOG_ID = 7 };
enum action { DO_FILE = 0, DO_RECORD, DO_RECORD_TOO, DO_BLOCK, DO_SCRIBBLE, DO_CUT, DO_POSITION, DO_COUNT };

struct file { uint8_t octets[SEGMENT]; uint32_t number, bytes, at, high; uint64_t generation; };
struct found { uint64_t sequence, generation; uint32_t offset, bytes, sum; };
struct list { uint32_t count, damaged; struct found v[FOUND_MAX]; };

static struct file files[FILES_MAX];
static uint32_t file_count;
static struct qlog_position from;
static char folder_path[64];
static int folder, log_folder, damage_folder;

/* ---- memory: the window of replay is nine megabytes, and giving it to the kernel each time costs more than all else together ---- */

void *__real_malloc(size_t n);
void __real_free(void *memory);
void *__wrap_malloc(size_t n);
void __wrap_free(void *memory);
static void *window;
static size_t window_bytes;

void *__wrap_malloc(size_t n)
{
    if (n < QLOG_RECORD_BYTES_MAX) return __real_malloc(n);
    if (window && window_bytes != n) {
        __real_free(window);
        window = NULL;
    }
    if (!window) window = __real_malloc(n);
    window_bytes = n;
    __asan_unpoison_memory_region(window, n);
    return window;
}

void __wrap_free(void *memory)
{
    if (memory && memory == window) __asan_poison_memory_region(window, window_bytes);
    else __real_free(memory);
}

/* ---- making files ---- */

static void new_file(struct cursor *c)
{
    if (file_count == FILES_MAX) return;
    struct file *f = &files[file_count++];
    uint8_t kind = (uint8_t)cursor_le(c, 1);
    struct segment_head h = {.uuid = {kind & 1 ? LOG_ID : LOG_ID + 1, 3}, .segment_bytes = SEGMENT};
    memset(f->octets, 0, f->high);
    f->generation = h.generation = cursor_le(c, 1) % 8;
    h.retired = cursor_le(c, 1) % 8;
    h.oldest = cursor_le(c, 1) % 8;
    h.first_group = cursor_le(c, 1);
    h.first_sequence = cursor_le(c, 1);
    f->number = kind >> 4;
    f->bytes = SEGMENT;
    f->at = f->high = QLOG_BLOCK_BYTES;
    if (!(kind & 2)) segment_head_put(f->octets, &h);
}

static void put_record(struct file *f, struct cursor *c)
{
    uint8_t memory[RECORD_ALIGN_BYTES + UINT8_MAX] = {0};
    struct buf body = BUF_OVER(memory);
    uint8_t flags = (uint8_t)cursor_le(c, 1);
    struct record_head h = {.offset = f->at, .log_id = flags & 1 ? LOG_ID + 1 : LOG_ID, .generation = f->generation ? f->generation : 1};
    h.type = (uint8_t)(1 + cursor_le(c, 1) % (RECORD_TYPE_COUNT - 1));
    h.group = cursor_le(c, 1);
    h.sequence = cursor_le(c, 1);
    h.index = (uint32_t)cursor_le(c, 1);
    buf_put_le(&body, cursor_le(c, 1), 8);
    body.len += (uint32_t)cursor_le(c, 1);
    h.body_bytes = flags & 2 ? QLOG_RECORD_BYTES_MAX - flags : body.len;
    if (flags & 4) h.generation++;
    h.body_crc = crc32c(0, buf_bytes(&body)) + (flags & 8 ? 1 : 0);
    if (record_span(body.len) > SEGMENT - f->at) return;
    record_head_put(f->octets + f->at, &h);
    memcpy(f->octets + f->at + QLOG_HEADER_BYTES, body.ptr, body.len);
    f->at += record_span(body.len);
    if (f->high < f->at) f->high = f->at;
}

static void scribble(struct file *f, struct cursor *c)
{
    uint32_t at = (uint32_t)cursor_le(c, 2) % SEGMENT, n = (uint32_t)cursor_le(c, 1) % 16;
    struct bytes octets = cursor_take(c, n < cursor_left(c) ? n : cursor_left(c));
    if (octets.len == 0 || octets.len > SEGMENT - at) return;
    memcpy(f->octets + at, octets.ptr, octets.len);
    if (f->high < at + octets.len) f->high = at + octets.len;
}

static void take_step(struct cursor *c)
{
    enum action step = (enum action)(cursor_le(c, 1) % DO_COUNT);
    struct file *f = file_count > 0 ? &files[file_count - 1] : NULL;
    if (step == DO_FILE || !f) new_file(c);
    else if (step <= DO_RECORD_TOO) put_record(f, c);
    else if (step == DO_BLOCK && f->at < SEGMENT) f->at = block_up(f->at + 1);
    else if (step == DO_SCRIBBLE) scribble(f, c);
    else if (step == DO_CUT) f->bytes = (uint32_t)cursor_le(c, 2);
    else if (step == DO_POSITION) from = (struct qlog_position){cursor_le(c, 1) % 8, cursor_le(c, 1), cursor_le(c, 1), (uint32_t)cursor_le(c, 2)};
}

static void write_files(void)
{
    for (uint32_t i = 0; i < file_count; i++) {
        char name[FILE_NAME_BYTES];
        struct file *f = &files[i];
        int fd;
        qlog_segment_name(name, f->number, "seg");
        must(qfile_open(log_folder, name, O_WRONLY | O_CREAT | O_TRUNC, &fd) == ERR_NONE);
        must(qfile_write(fd, 0, f->octets, f->high < f->bytes ? f->high : f->bytes) == ERR_NONE && ftruncate(fd, (off_t)f->bytes) == 0);
        close(fd);
    }
}

static void empty(int of)
{
    int fd = openat(of, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *all = fd >= 0 ? fdopendir(fd) : NULL;
    must(all != NULL);
    for (const struct dirent *e = readdir(all); e; e = readdir(all))
        if (e->d_name[0] != '.') (void)unlinkat(of, e->d_name, 0);
    closedir(all);
}

/* ---- starting over them ---- */

static void apply(void *context, const struct qlog_found *found)
{
    struct list *l = context;
    if (found->damaged) {
        l->damaged++;
        return;
    }
    must(found->type > RECORD_NONE && found->type < RECORD_TYPE_COUNT && found->place.bytes == QLOG_HEADER_BYTES + found->body.len);
    must(l->count < FOUND_MAX);
    l->v[l->count++] = (struct found){found->at.sequence, found->place.generation, found->place.offset, found->place.bytes, crc32c(0, found->body)};
}

static void read_back(struct qlog *log, const struct list *l)
{
    static uint8_t memory[SEGMENT];
    for (uint32_t i = 0; i < l->count; i++) {
        struct qlog_place place = {l->v[i].generation, l->v[i].offset, l->v[i].bytes};
        must(qlog_read(log, &place, 0, memory, place.bytes - QLOG_HEADER_BYTES) == ERR_NONE);
        must(crc32c(0, bytes_of(memory, place.bytes - QLOG_HEADER_BYTES)) == l->v[i].sum);
    }
    for (uint32_t i = 0; i < log->live_count; i++) {
        struct qlog_found found;
        uint32_t offset = 0, before = 0;
        while (qlog_next(log, qlog_generation(log, i), &offset, &found) == ERR_NONE) {
            must(offset > before);
            before = offset;
        }
    }
}

static void start(struct list *l)
{
    struct qlog log = {.options = {.folder_fd = folder, .segment_bytes = SEGMENT}, .folder = log_folder};
    struct qlog_recovery recovery = {0};
    l->count = l->damaged = 0;
    must(pthread_mutex_init(&log.lock, NULL) == 0);
    must(qlog_recover_segments(&log, &recovery) == ERR_NONE);
    must(qlog_replay(&log, from, apply, l, &recovery) == ERR_NONE);
    must(recovery.records >= l->count && recovery.segments == log.live_count);
    read_back(&log, l);
    for (uint32_t i = 0; i < log.live_count; i++) qlog_segment_free(log.live[i]);
    for (uint32_t i = 0; i < log.idle_count; i++) qlog_segment_free(log.idle[i]);
    free(log.live);
    free(log.idle);
    free(log.voids.v);
    pthread_mutex_destroy(&log.lock);
}

static void remove_folder(void)
{
    testing_remove(folder_path);
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count;
    (void)words;
    if (access("/dev/shm", W_OK) == 0) (void)setenv("TMPDIR", "/dev/shm", 1);
    folder = testing_folder(folder_path);
    must(qfile_folder(folder, "log", &log_folder) == ERR_NONE && qfile_folder(folder, "damage", &damage_folder) == ERR_NONE);
    return atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct list first, second;
    if (size > 16384) return 0;
    struct cursor c = cursor_over(bytes_of(data, (uint32_t)size));
    for (uint32_t i = 0; i < FILES_MAX; i++) files[i].high = files[i].high > QLOG_BLOCK_BYTES ? files[i].high : QLOG_BLOCK_BYTES;
    file_count = 0;
    from = (struct qlog_position){0};
    while (cursor_left(&c) > 0 && !c.failed) take_step(&c);
    write_files();
    start(&first);
    start(&second);
    must(first.count == second.count && memcmp(first.v, second.v, first.count * sizeof *first.v) == 0);
    empty(log_folder);
    empty(damage_folder);
    return 0;
}
