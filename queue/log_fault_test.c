/*
 * log_fault_test - the commit log on a disk that fails, and after power cuts.
 *
 * The system calls of the log are replaced at link time by ones that fail on demand and keep a journal of every write and sync. From the journal the
 * disk's possible contents after a cut at any point are made: what was synced, and any subset of sectors of what was not. A write whose sync failed
 * stays uncertain for ever, as on a real kernel, unless it is written again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/log_testing.h"

enum { FILES_MAX = 256, FDS_MAX = 1024, OPS_MAX = 100000, SECTOR_BYTES = 512, NUMBERS_MAX = 400 };
enum { CALL_OPEN = 1, CALL_READ = 2, CALL_WRITE = 4, CALL_SYNC = 8, CALL_RENAME = 16, CALL_UNLINK = 32, CALL_ALL = 63 };
enum { SHORT_WRITE = -1 };    /* instead of an errno */
enum op_kind { OP_WRITE, OP_SYNC, OP_FAILED_SYNC, OP_CREATE, OP_RENAME, OP_UNLINK, OP_FOLDER_SYNC };

struct op {
    enum op_kind kind;
    uint32_t file;
    uint64_t offset;
    uint32_t bytes;
    uint8_t *octets;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    bool armed;
    uint32_t calls;           /* seen of those that may fail, since armed */
    uint32_t mask, first, last; /* which calls fail: CALL_ bits, first to last of them, counting from 1 */
    int error;
    uint32_t percent;         /* or so many of a hundred, at random */
} fault;
static bool no_space_for_files;   /* a file can be made, but not filled */
static struct op ops[OPS_MAX];
static uint32_t op_count;
static bool recording;
static char names[FILES_MAX][16]; /* under which a file is open now */
static uint32_t file_count;
static int file_of_fd[FDS_MAX];   /* + 1; 0 = none; -1 = the log folder */

static bool fails(uint32_t call)
{
    bool hit = false;
    pthread_mutex_lock(&lock);
    if (fault.armed && (fault.mask & call)) {
        fault.calls++;
        hit = fault.percent ? (uint32_t)(random() % 100) < fault.percent : fault.calls >= fault.first && fault.calls <= fault.last;
    }
    pthread_mutex_unlock(&lock);
    return hit;
}

static void note(enum op_kind kind, uint32_t file, uint64_t offset, const void *octets, size_t bytes)
{
    pthread_mutex_lock(&lock);
    if (recording) {
        must(op_count < OPS_MAX);
        struct op *o = &ops[op_count++];
        *o = (struct op){kind, file, offset, (uint32_t)bytes, bytes > 0 ? malloc(bytes) : NULL};
        if (bytes > 0) memcpy(o->octets, octets, bytes);
    }
    pthread_mutex_unlock(&lock);
}

static uint32_t file_named(const char *name)
{
    for (uint32_t i = 0; i < file_count; i++) {
        if (strcmp(names[i], name) == 0) return i;
    }
    return FILES_MAX;
}

int openat(int folder, const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = flags & O_CREAT ? va_arg(args, unsigned) : 0;
    va_end(args);
    if (fails(CALL_OPEN)) {
        errno = fault.error;
        return -1;
    }
    int fd = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (fd < 0 || fd >= FDS_MAX || !recording) return fd;
    pthread_mutex_lock(&lock);
    file_of_fd[fd] = strcmp(name, "log") == 0 ? -1 : 0;
    bool is_segment = strchr(name, '.') && name[0] != '.' && strlen(name) < sizeof(names[0]);
    if (is_segment && file_named(name) == FILES_MAX) {
        must(file_count < FILES_MAX && (flags & O_CREAT));
        memcpy(names[file_count++], name, strlen(name) + 1);
    }
    if (is_segment) file_of_fd[fd] = (int)file_named(name) + 1;
    pthread_mutex_unlock(&lock);
    if (is_segment && (flags & O_CREAT)) note(OP_CREATE, (uint32_t)file_of_fd[fd] - 1, 0, name, strlen(name) + 1);
    return fd;
}

ssize_t pread(int fd, void *to, size_t n, off_t offset)
{
    if (fails(CALL_READ)) {
        if (fault.error == SHORT_WRITE) return syscall(SYS_pread64, fd, to, n / 2 + 1, offset);
        errno = fault.error;
        return -1;
    }
    return syscall(SYS_pread64, fd, to, n, offset);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t offset)
{
    bool failing = fails(CALL_WRITE);
    if (failing && fault.error != SHORT_WRITE) {
        errno = fault.error;
        return -1;
    }
    if (failing) n = n / 2 + 1;
    if (no_space_for_files && n == SMALL_SEGMENT) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t wrote = syscall(SYS_pwrite64, fd, from, n, offset);
    if (wrote > 0 && fd < FDS_MAX && file_of_fd[fd] > 0) note(OP_WRITE, (uint32_t)file_of_fd[fd] - 1, (uint64_t)offset, from, (size_t)wrote);
    return wrote;
}

static int sync_with(long number, int fd)
{
    bool failing = fails(CALL_SYNC) && fault.error != SHORT_WRITE;
    int result = failing ? -1 : (int)syscall(number, fd);
    if (fd < FDS_MAX && file_of_fd[fd] > 0 && !(failing && fault.error == EINTR)) {
        note(failing ? OP_FAILED_SYNC : OP_SYNC, (uint32_t)file_of_fd[fd] - 1, 0, NULL, 0);
    } else if (fd < FDS_MAX && file_of_fd[fd] == -1 && !failing) {
        note(OP_FOLDER_SYNC, 0, 0, NULL, 0);
    }
    if (failing) errno = fault.error;
    return result;
}

int fdatasync(int fd)
{
    return sync_with(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return sync_with(SYS_fsync, fd);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    if (fails(CALL_RENAME) && fault.error != SHORT_WRITE) {
        errno = fault.error;
        return -1;
    }
    int result = (int)syscall(SYS_renameat, from_folder, from, to_folder, to);
    if (result != 0 || !recording) return result;
    pthread_mutex_lock(&lock);
    uint32_t file = file_named(from);
    if (file < FILES_MAX) snprintf(names[file], sizeof(names[file]), "%s", to);
    pthread_mutex_unlock(&lock);
    if (file < FILES_MAX) note(OP_RENAME, file, 0, to, strlen(to) + 1);
    return result;
}

int unlinkat(int folder, const char *name, int flags)
{
    if (fails(CALL_UNLINK) && fault.error != SHORT_WRITE) {
        errno = fault.error;
        return -1;
    }
    int result = (int)syscall(SYS_unlinkat, folder, name, flags);
    if (result == 0 && recording) {
        pthread_mutex_lock(&lock);
        uint32_t file = file_named(name);
        if (file < FILES_MAX) names[file][0] = 0;
        pthread_mutex_unlock(&lock);
        if (file < FILES_MAX) note(OP_UNLINK, file, 0, NULL, 0);
    }
    return result;
}

/* ---- the workload ---- */

struct promise {
    bool acked, voided;
    uint64_t group;
    uint32_t ack_op;          /* journal entries when it was acknowledged */
};

struct run {
    char path[64];
    int folder, event_fd;
    struct seen seen;
    struct qlog_recovery recovery;
    struct promise promises[NUMBERS_MAX + 1];
    uint32_t next;            /* number */
    enum err error;           /* of the last progress */
};

static void begin_run(struct run *r)
{
    memset(r, 0, sizeof(*r));
    r->folder = testing_folder(r->path);
    r->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->next = 1;
}

static void end_run(struct run *r)
{
    close(r->folder);
    close(r->event_fd);
    testing_remove(r->path);
}

static uint32_t journal_length(void)
{
    pthread_mutex_lock(&lock);
    uint32_t n = op_count;
    pthread_mutex_unlock(&lock);
    return n;
}

static void collect(struct run *r, struct qlog *log)
{
    struct qlog_progress p;
    do {
        qlog_collect(log, &p);
        for (uint32_t n = 1; n <= r->next; n++) { /* the one just appended too */
            struct promise *x = &r->promises[n];
            if (x->acked || x->voided || x->group == 0) continue;
            if (x->group == p.voided_group) x->voided = true;
            else if (x->group <= p.synced_group) {
                x->acked = true;
                x->ack_op = journal_length();
            }
        }
    } while (p.voided_group != 0);
    r->error = p.error;
}

static enum err open_run(struct run *r, struct qlog **log)
{
    struct qlog_options options = {.folder_fd = r->folder, .segment_bytes = SMALL_SEGMENT, .event_fd = r->event_fd};
    memset(&r->seen, 0, sizeof(r->seen));
    for (uint32_t n = 1; n < r->next; n++) r->promises[n].group = 0; /* group numbers of one run mean nothing to the next */
    return qlog_open(log, &options, (struct qlog_position){0}, testing_apply, &r->seen, &r->recovery);
}

/* work - records of both kinds over several segments, as a queue would append them; gives up on one that is refused for too long. */
static void work(struct run *r, struct qlog *log, uint32_t records)
{
    for (uint32_t i = 0; i < records; i++) {
        struct qlog_place place = {0};
        struct promise *x = &r->promises[r->next];
        uint32_t bytes = i % 5 == 0 ? 9000 : 200 + i * 13;
        bool lazy = i % 3 == 2;
        enum err e = ERR_AGAIN;
        must(r->next <= NUMBERS_MAX);
        for (uint32_t tries = 0; tries < 300 && e != ERR_NONE; tries++) {
            e = testing_append(log, lazy ? RECORD_OUTCOME : RECORD_ACCEPT, r->next, bytes, !lazy, &place, &x->group);
            if (e != ERR_NONE) usleep(5000);
            if (e != ERR_NONE) qlog_kick(log);
            collect(r, log);
        }
        r->next++;
        if (i % 4 != 1) qlog_kick(log);
        if (i % 4 == 3) usleep(300);
        collect(r, log);
    }
    for (uint32_t tries = 0; tries < 10000; tries++) {
        bool open = r->error != ERR_NONE;
        qlog_kick(log);
        collect(r, log);
        for (uint32_t n = 1; n < r->next; n++) open = open || (r->promises[n].group != 0 && !r->promises[n].acked && !r->promises[n].voided);
        if (!open) break;
        usleep(1000);
    }
}

static void assert_kept(const struct run *r, uint32_t op_limit)
{
    for (uint32_t n = 1; n < r->next; n++) {
        const struct promise *x = &r->promises[n];
        if (x->acked && x->ack_op <= op_limit && !testing_saw(&r->seen, n)) print_error("lost %u (group %lu)\n", n, (unsigned long)x->group);
        if (x->acked && x->ack_op <= op_limit) assert_true(testing_saw(&r->seen, n));
    }
    assert_int_equal(r->seen.damaged, 0);
    assert_int_equal(r->recovery.damaged_files, 0);
}

static void arm(uint32_t mask, uint32_t first, uint32_t last, int error, uint32_t percent)
{
    pthread_mutex_lock(&lock);
    fault.mask = mask;
    fault.first = first;
    fault.last = last;
    fault.error = error;
    fault.calls = 0;
    fault.percent = percent;
    fault.armed = true;
    pthread_mutex_unlock(&lock);
}

static uint32_t disarm(void)
{
    pthread_mutex_lock(&lock);
    fault.armed = false;
    uint32_t calls = fault.calls;
    pthread_mutex_unlock(&lock);
    return calls;
}

/* one_fault - a run in which calls first..last fail; then a look with a working disk. Gives how many calls there were. */
static uint32_t one_fault(uint32_t mask, uint32_t first, uint32_t last, int error)
{
    static struct run r;
    struct qlog *log;
    begin_run(&r);
    assert_int_equal(open_run(&r, &log), ERR_NONE);
    work(&r, log, 4);
    qlog_close(log);
    arm(mask, first, last, error, 0);
    if (open_run(&r, &log) == ERR_NONE) {
        work(&r, log, 16);
        qlog_close(log);
    }
    uint32_t calls = disarm();
    assert_int_equal(open_run(&r, &log), ERR_NONE);
    assert_kept(&r, UINT32_MAX);
    for (uint32_t n = 1; n < r.next; n++) assert_false(r.promises[n].voided && testing_saw(&r.seen, n));
    work(&r, log, 2);
    qlog_close(log);
    assert_int_equal(open_run(&r, &log), ERR_NONE);
    assert_kept(&r, UINT32_MAX);
    qlog_close(log);
    end_run(&r);
    return calls;
}

static void test_log_each_call_failing_once_loses_nothing_acknowledged(void **state)
{
    (void)state;
    static const struct {
        uint32_t mask;
        int error;
    } cases[] = {{CALL_ALL, EIO}, {CALL_ALL & ~CALL_READ, ENOSPC}, {CALL_ALL, EINTR}, {CALL_READ | CALL_WRITE, SHORT_WRITE}, {CALL_OPEN | CALL_READ, ENOMEM}};
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t calls = 1;
        for (uint32_t n = 1; n <= calls; n++) {
            calls = one_fault(cases[i].mask, n, n, cases[i].error);
        }
    }
}

static void test_log_syncs_failing_in_a_row_void_all_since_the_last_good_one(void **state)
{
    (void)state;
    for (uint32_t first = 3; first < 12; first += 4) one_fault(CALL_SYNC, first, first + 4, EIO);
    one_fault(CALL_WRITE, 12, 17, EIO);
}

static void test_log_sync_failed_tells_void_groups_and_goes_on_in_another_segment(void **state)
{
    (void)state;
    static struct run r;
    struct qlog *log;
    struct qlog_place a, b, c;
    uint64_t ga, gb, gc;
    struct qlog_progress p;
    begin_run(&r);
    assert_int_equal(open_run(&r, &log), ERR_NONE);
    usleep(20000); /* the spare is made */
    assert_int_equal(testing_append(log, RECORD_ACCEPT, 1, 100, true, &a, &ga), ERR_NONE);
    arm(CALL_SYNC, 1, 1, EIO, 0);
    qlog_kick(log);
    assert_int_equal(testing_append(log, RECORD_OUTCOME, 2, 100, false, &b, &gb), ERR_NONE);
    p = testing_sync(log, ga);
    assert_int_equal(p.voided_group, ga);
    assert_int_equal(p.error, ERR_IO);
    assert_true(p.synced_group < ga);
    qlog_collect(log, &p);
    assert_int_equal(p.voided_group, gb);
    p = testing_sync(log, gb + 1);
    assert_int_equal(p.voided_group, 0);
    assert_int_equal(p.error, ERR_NONE);
    disarm();
    assert_int_equal(testing_append(log, RECORD_OUTCOME, 2, 100, true, &c, &gc), ERR_NONE);
    assert_true(c.generation > a.generation);
    testing_sync(log, gc);
    qlog_close(log);
    assert_int_equal(open_run(&r, &log), ERR_NONE);
    assert_int_equal(r.seen.count, 1);
    assert_int_equal(r.seen.number[0], 2);
    assert_int_equal(r.recovery.voided_records, 1);
    assert_int_equal(r.recovery.damaged_records, 0);
    qlog_close(log);
    end_run(&r);
}

static void test_log_no_space_at_start_goes_on_behind_the_end_of_the_last_segment(void **state)
{
    (void)state;
    static struct run r;
    struct qlog *log;
    struct qlog_place place;
    uint64_t group;
    begin_run(&r);
    arm(CALL_OPEN, 0, 0, EIO, 0);
    assert_int_equal(open_run(&r, &log), ERR_NONE);
    work(&r, log, 4);
    qlog_close(log);
    disarm();
    /* Whatever spare there is goes; then nothing can be written to new files. */
    int folder = openat(r.folder, "log", O_RDONLY | O_DIRECTORY);
    for (uint32_t n = 2; n < 9; n++) {
        char name[16];
        snprintf(name, sizeof(name), "%04u.seg", n);
        unlinkat(folder, name, 0);
    }
    close(folder);
    for (uint32_t start = 0; start < 2; start++) {
        no_space_for_files = true;
        assert_int_equal(open_run(&r, &log), ERR_NONE);
        assert_true(r.recovery.no_space);
        assert_kept(&r, UINT32_MAX);
        assert_int_equal(r.seen.count, 4 + start);
        assert_int_equal(testing_append(log, RECORD_OUTCOME, 100 + start, 100, true, &place, &group), ERR_NONE);
        assert_true(testing_sync(log, group).synced_group >= group);
        if (start == 1) assert_int_equal(testing_append(log, RECORD_ACCEPT, 200, 40000, true, &place, &group), ERR_NO_SPACE);
        qlog_close(log);
        no_space_for_files = false;
    }
    assert_int_equal(open_run(&r, &log), ERR_NONE);
    assert_kept(&r, UINT32_MAX);
    assert_int_equal(r.seen.count, 6);
    qlog_close(log);
    end_run(&r);
}

/* ---- power cuts ---- */

static void start_recording(void)
{
    op_count = file_count = 0;
    memset(file_of_fd, 0, sizeof(file_of_fd));
    recording = true;
}

static void stop_recording(void)
{
    recording = false;
}

static void forget_recording(void)
{
    for (uint32_t i = 0; i < op_count; i++) free(ops[i].octets);
    op_count = 0;
}

struct disk_file {
    bool exists;              /* at all */
    char durable[16], latest[16]; /* names; empty = none */
    uint8_t *octets;
    uint64_t bytes;
};

static void write_part(struct disk_file *f, const struct op *o, uint64_t from, uint64_t n)
{
    if (from + n > SMALL_SEGMENT) n = SMALL_SEGMENT - from;
    memcpy(f->octets + from, o->octets + (from - o->offset), n);
    if (from + n > f->bytes) f->bytes = from + n;
}

/* put_write - certain, or each sector at random. */
static void put_write(struct disk_file *f, const struct op *o, bool certain, uint32_t percent)
{
    for (uint64_t at = o->offset; at < o->offset + o->bytes;) {
        uint64_t n = SECTOR_BYTES - at % SECTOR_BYTES;
        if (n > o->offset + o->bytes - at) n = o->offset + o->bytes - at;
        if (certain || (uint32_t)(random() % 100) < percent) write_part(f, o, at, n);
        at += n;
    }
}

/* is_certain - whether a write was synced before the cut, by a sync that worked and came before any that failed. */
static bool is_certain(uint32_t write, uint32_t cut)
{
    for (uint32_t i = write + 1; i < cut; i++) {
        if (ops[i].file != ops[write].file) continue;
        if (ops[i].kind == OP_SYNC) return true;
        if (ops[i].kind == OP_FAILED_SYNC) return false;
    }
    return false;
}

static void apply_names(struct disk_file *files, uint32_t cut)
{
    for (uint32_t i = 0; i < cut; i++) {
        const struct op *o = &ops[i];
        struct disk_file *f = &files[o->file];
        if (o->kind == OP_CREATE || o->kind == OP_RENAME) snprintf(f->latest, sizeof(f->latest), "%s", (const char *)o->octets);
        if (o->kind == OP_UNLINK) f->latest[0] = 0;
        for (uint32_t j = 0; o->kind == OP_FOLDER_SYNC && j < file_count; j++) memcpy(files[j].durable, files[j].latest, sizeof(files[j].durable));
    }
}

/* make_disk - a folder as it may be after a power cut before operation `cut`. */
static void make_disk(struct run *r, uint32_t cut)
{
    static struct disk_file files[FILES_MAX];
    static uint8_t memory[64][SMALL_SEGMENT];
    uint32_t percent = (uint32_t)(random() % 5) * 25;
    must(file_count <= 64);
    memset(files, 0, sizeof(files));
    memset(memory, 0, sizeof(memory));
    for (uint32_t i = 0; i < file_count; i++) files[i].octets = memory[i];
    apply_names(files, cut);
    for (uint32_t i = 0; i < cut; i++) {
        if (ops[i].kind == OP_WRITE) put_write(&files[ops[i].file], &ops[i], is_certain(i, cut), percent);
    }
    close(r->folder);
    testing_remove(r->path);
    must(mkdir(r->path, 0700) == 0);
    r->folder = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(mkdirat(r->folder, "log", 0700) == 0);
    int log = openat(r->folder, "log", O_RDONLY | O_DIRECTORY);
    for (uint32_t i = 0; i < file_count; i++) {
        const char *name = random() % 2 ? files[i].latest : files[i].durable;
        if (name[0] == 0) continue;
        int fd = openat(log, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        must(fd >= 0 && pwrite(fd, files[i].octets, files[i].bytes, 0) == (ssize_t)files[i].bytes);
        close(fd);
    }
    close(log);
}

static void test_log_power_cut_anywhere_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    static struct run r;
    const char *wanted = getenv("LOG_IMAGES");
    uint32_t images = wanted ? (uint32_t)atoi(wanted) : 400, bad_syncs = 0;
    struct qlog *log;
    srandom(11);
    while (images > 0) {
        begin_run(&r);
        start_recording();
        assert_int_equal(open_run(&r, &log), ERR_NONE);
        uint32_t from = op_count;
        arm(CALL_SYNC, 0, 0, EIO, bad_syncs++ % 3 * 4);
        work(&r, log, 25);
        disarm();
        qlog_close(log);
        assert_int_equal(open_run(&r, &log), ERR_NONE);
        work(&r, log, 15);
        qlog_close(log);
        stop_recording();
        for (uint32_t i = 0; i < 100 && images > 0; i++, images--) {
            uint32_t cut = from + (uint32_t)random() % (op_count - from + 1);
            make_disk(&r, cut);
            assert_int_equal(open_run(&r, &log), ERR_NONE);
            assert_kept(&r, cut);
            uint32_t seen = r.seen.count;
            struct qlog_place place;
            uint64_t group;
            assert_int_equal(testing_append(log, RECORD_ACCEPT, NUMBERS_MAX + 1, 500, true, &place, &group), ERR_NONE);
            assert_true(testing_sync(log, group).synced_group >= group);
            qlog_close(log);
            assert_int_equal(open_run(&r, &log), ERR_NONE);
            assert_int_equal(r.seen.count, seen + 1);
            assert_kept(&r, cut);
            qlog_close(log);
        }
        forget_recording();
        end_run(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_sync_failed_tells_void_groups_and_goes_on_in_another_segment),
        cmocka_unit_test(test_log_no_space_at_start_goes_on_behind_the_end_of_the_last_segment),
        cmocka_unit_test(test_log_syncs_failing_in_a_row_void_all_since_the_last_good_one),
        cmocka_unit_test(test_log_power_cut_anywhere_keeps_what_was_acknowledged),
        cmocka_unit_test(test_log_each_call_failing_once_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
