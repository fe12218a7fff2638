/*
 * tap - a library for LD_PRELOAD that sits between the manager and its system calls. It writes down what the manager does to the queue folder, so that
 * images.c can make every disk that a power cut could leave behind; and it lets single calls fail, told apart by who made them.
 *
 * Environment: TAP_FILE (made by tap.py, mapped before the lock-down, so that nothing has to be opened later), TAP_ROOT (the queue folder).
 * Only a process with `--role manager` on its command line is tapped. The surprising thing: this runs behind seccomp and Landlock, so that it may
 * make only system calls that the manager may make. A write and its entry are made under one lock, and so is the death at die_at: what the journal
 * says happened is what happened.
 */
#include "tap_internal.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MODULES_MAX = 2, UNDO_MAX = 4096, DEPTH = 24 };

extern void *__libc_calloc(size_t n, size_t each);

struct tap_head *tap_head;
static struct { uintptr_t from, to, base; } modules[MODULES_MAX];
static uint32_t module_count;
struct tapped tap_fds[TAP_FDS_MAX];
static char working_folder[TAP_PATH_BYTES];
static bool working_folder_known;
static uint64_t next_handle;
static __thread bool inside;

static struct { uint64_t handle; int64_t offset; size_t bytes; uint8_t *octets; } undo[UNDO_MAX];
static uint32_t undo_count;

void tap_lock(void)
{
    while (__atomic_exchange_n(&tap_head->lock, 1, __ATOMIC_ACQUIRE)) sched_yield();
}

void tap_unlock(void)
{
    __atomic_store_n(&tap_head->lock, 0, __ATOMIC_RELEASE);
}

/* ---- journal (under the lock) ---- */

void tap_append(enum tap_kind kind, uint64_t a, uint64_t b, const struct iovec *parts, int count)
{
    struct tap_entry e = {.kind = kind, .a = a, .b = b};
    if (!tap_head->recording) return;
    for (int i = 0; i < count; i++) e.bytes += (uint32_t)parts[i].iov_len;
    uint64_t at = tap_head->used, end = at + sizeof(e) + ((e.bytes + 7u) & ~7u);
    if (end > tap_head->size) {
        tap_head->recording = 0; /* the campaign sees it */
        return;
    }
    memcpy((char *)tap_head + at, &e, sizeof(e));
    at += sizeof(e);
    for (int i = 0; i < count; i++) {
        memcpy((char *)tap_head + at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    __atomic_store_n(&tap_head->used, end, __ATOMIC_RELEASE);
    if (tap_head->die_at && end >= tap_head->die_at) {
        if (tap_head->die_at != TAP_DIE_ALWAYS) tap_head->die_at = 0;
        syscall(SYS_tgkill, getpid(), gettid(), SIGKILL);
    }
}

void tap_append_text(enum tap_kind kind, uint64_t a, uint64_t b, const char *one, const char *two)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)one, strlen(one) + 1}, {(void *)(uintptr_t)two, two ? strlen(two) + 1 : 0}};
    tap_append(kind, a, b, parts, two ? 2 : 1);
}

/* ---- names ---- */

/* path_of - below the queue folder; false when it is elsewhere. */
bool tap_path(int folder, const char *name, char path[TAP_PATH_BYTES])
{
    const char *base = working_folder;
    bool known = working_folder_known;
    if (folder != AT_FDCWD) {
        known = folder >= 0 && folder < TAP_FDS_MAX && tap_fds[folder].known && tap_fds[folder].is_folder;
        if (known) base = tap_fds[folder].path;
    }
    if (!known || name[0] == '/') return false;
    if (strcmp(name, ".") == 0) name = "";
    int n = snprintf(path, TAP_PATH_BYTES, "%s%s%s", base, base[0] && name[0] ? "/" : "", name);
    return n >= 0 && n < TAP_PATH_BYTES;
}

void tap_opened(int fd, int folder, const char *name, int flags)
{
    char path[TAP_PATH_BYTES];
    struct stat st;
    if (!tap_head || fd < 0 || fd >= TAP_FDS_MAX) return;
    tap_fds[fd].known = false;
    if (tap_path(folder, name, path) && fstat(fd, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode))) {
        tap_fds[fd] = (struct tapped){.known = true, .is_folder = S_ISDIR(st.st_mode), .through = (flags & O_DSYNC) != 0, .handle = ++next_handle};
        memcpy(tap_fds[fd].path, path, sizeof(path));
        const char *last = strrchr(path, '/');
        if (!tap_fds[fd].is_folder && last && strcmp(last, "/lock.mdb") == 0) tap_fds[fd].known = false; /* nothing in it outlives a process */
        if (tap_fds[fd].known && !tap_fds[fd].is_folder) tap_append_text(TAP_OPENED, tap_fds[fd].handle, (uint64_t)flags, path, NULL);
    }
}

struct tapped *tap_known(int fd)
{
    return tap_head && fd >= 0 && fd < TAP_FDS_MAX && tap_fds[fd].known ? &tap_fds[fd] : NULL;
}

void tap_entered(int fd)
{
    working_folder_known = fd >= 0 && fd < TAP_FDS_MAX && tap_fds[fd].known && tap_fds[fd].is_folder;
    if (working_folder_known) memcpy(working_folder, tap_fds[fd].path, TAP_PATH_BYTES);
}

struct tapped *tap_file(int fd)
{
    struct tapped *f = tap_known(fd);
    return f && !f->is_folder ? f : NULL;
}

/* ---- what was not synced ---- */

void tap_remember(int fd, const struct tapped *f, size_t n, int64_t offset)
{
    if (!tap_head->losing || undo_count == UNDO_MAX) return;
    uint8_t *octets = __libc_calloc(1, n);
    if (!octets) return;
    (void)!syscall(SYS_pread64, fd, octets, n, offset);
    undo[undo_count].handle = f->handle;
    undo[undo_count].offset = offset;
    undo[undo_count].bytes = n;
    undo[undo_count++].octets = octets;
}

void tap_settle(int fd, uint64_t handle, bool lost)
{
    uint32_t kept = 0;
    for (uint32_t i = undo_count; lost && i-- > 0;) {
        if (undo[i].handle == handle) (void)!syscall(SYS_pwrite64, fd, undo[i].octets, undo[i].bytes, undo[i].offset);
    }
    for (uint32_t i = 0; i < undo_count; i++) {
        if (undo[i].handle == handle) free(undo[i].octets);
        else undo[kept++] = undo[i];
    }
    undo_count = kept;
}

/* ---- sites ---- */

static uint64_t place_of(const void *address)
{
    uintptr_t at = (uintptr_t)address;
    for (uint32_t i = 0; i < module_count; i++) {
        if (at >= modules[i].from && at < modules[i].to) return ((uint64_t)(i + 1) << 48) | (at - modules[i].base);
    }
    return 0;
}

/* fails - 0, or what the call that asks has to fail with. */
int tap_fails(enum tap_call call)
{
    if (!tap_head || !tap_head->injecting || inside) return 0;
    void *stack[DEPTH];
    struct tap_site site = {.call = call, .hash = 1469598103934665603u ^ call};
    int kept = errno, error = 0;
    inside = true;
    int depth = backtrace(stack, DEPTH), frames = 0;
    for (int i = 0; i < depth && frames < TAP_FRAMES; i++) {
        uint64_t place = place_of(stack[i]);
        if (place) site.frames[frames++] = place;
        site.hash = (site.hash ^ place) * (place ? 1099511628211u : 1);
    }
    if (frames > 0) {
        tap_lock();
        struct tap_site *sites = (struct tap_site *)(void *)((char *)tap_head + TAP_SITES_AT);
        uint32_t n = 0;
        while (n < tap_head->site_count && sites[n].hash != site.hash) n++;
        if (n == tap_head->site_count && n < TAP_SITES_MAX) sites[tap_head->site_count++] = site;
        if (n < TAP_SITES_MAX) sites[n].count++;
        if (tap_head->armed_left && tap_head->armed_site == n) {
            tap_head->armed_left--;
            tap_head->fired++;
            error = tap_head->armed_error;
        }
        tap_unlock();
    }
    inside = false;
    errno = kept;
    return error;
}

/* ---- the beginning ---- */

static bool is_manager(void)
{
    char text[4096];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));
    if (fd >= 0) close(fd);
    static const char wanted[] = "--role\0manager";
    return getenv("TAP_ALWAYS") || (n > 0 && memmem(text, (size_t)n, wanted, sizeof(wanted)));
}

static int note_module(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    bool program = info->dlpi_name[0] == 0;
    if (module_count == MODULES_MAX || (!program && !strstr(info->dlpi_name, "liblmdb"))) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X)) continue;
        modules[module_count].base = info->dlpi_addr;
        modules[module_count].from = info->dlpi_addr + p->p_vaddr;
        modules[module_count++].to = info->dlpi_addr + p->p_vaddr + p->p_memsz;
        return 0;
    }
    return 0;
}

/* find_folders - descriptors of the queue folder that were handed to us. */
static void find_folders(const char *root)
{
    size_t length = strlen(root);
    for (int fd = 3; fd < 64; fd++) {
        char name[32], target[PATH_MAX];
        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, target, sizeof(target) - 1);
        if (n <= 0) continue;
        target[n] = 0;
        if (strncmp(target, root, length) != 0 || (target[length] != 0 && target[length] != '/')) continue;
        tap_fds[fd] = (struct tapped){.known = true, .is_folder = true, .handle = ++next_handle};
        snprintf(tap_fds[fd].path, TAP_PATH_BYTES, "%.100s", target[length] ? target + length + 1 : "");
    }
}

static void in_child(void)
{
    tap_head = NULL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TAP_FILE"), *root = getenv("TAP_ROOT");
    tap_resolve();
    if (!path || !root || !is_manager()) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct tap_head first;
    if (fd < 0 || pread(fd, &first, sizeof(first), 0) != (ssize_t)sizeof(first) || first.magic != TAP_MAGIC) abort();
    struct tap_head *mapped = mmap(NULL, first.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) abort();
    void *stack[DEPTH];
    backtrace(stack, DEPTH); /* loads its library now */
    dl_iterate_phdr(note_module, NULL);
    find_folders(root);
    pthread_atfork(NULL, NULL, in_child);
    mapped->lock = 0; /* of one that died with it */
    mapped->lives++;
    next_handle = (uint64_t)mapped->lives << 32;
    tap_head = mapped;
    tap_lock();
    tap_append(TAP_LIFE, tap_head->lives, 0, NULL, 0);
    tap_unlock();
}
