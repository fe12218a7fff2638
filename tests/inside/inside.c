/*
 * inside - makes a running process execute system calls, as if its code had been taken over.
 *
 *   inside TID        as root; then lines on standard input, one line of answer each
 *
 *   put HEX                  octets into memory of the process's own; answers "@ ADDRESS"
 *   get ADDRESS LENGTH       answers "# HEX"
 *   call NR A B C D E F      answers "= RESULT" (negative: -errno), or "! SIGNAL" when the process died of it
 *   ring FD HEX              an entry of 64 octets through its io_uring, as it is mapped; answers like call; "= -2147483648": no completion came
 *   go                       lets it run on as if nothing had happened, and ends
 *
 * At the end of the input the process is killed. It is stopped with ptrace, its registers are borrowed for an instruction `syscall` that stands in its
 * own text, and given back. So everything that a seccomp filter, Landlock, and the kernel's own rules know of it is what the real role has.
 * Addresses and numbers are decimal. x86-64 only.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 65536,
    SCRATCH_BYTES = 65536,
    PATIENCE_MS = 10000, /* a call that blocks for longer is a mistake in the test */
    NO_COMPLETION = INT32_MIN,
    ENTRY_BYTES = 64,
    TRACED = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL,
};

static struct {
    pid_t tid;
    int memory_fd;
    struct user_regs_struct registers; /* its own */
    uint64_t instruction;              /* where an instruction `syscall` stands */
    uint64_t scratch, scratch_used;
    uint64_t mark; /* user_data of the last entry; no entry of its own looks like that */
} target = {.mark = 0x7e57000000000000};

static _Noreturn void fail(const char *what)
{
    printf("? %s: %s\n", what, strerror(errno));
    fflush(stdout);
    exit(1);
}

static bool read_memory(uint64_t address, void *to, size_t n)
{
    return pread(target.memory_fd, to, n, (off_t)address) == (ssize_t)n;
}

static bool write_memory(uint64_t address, const void *from, size_t n)
{
    return pwrite(target.memory_fd, from, n, (off_t)address) == (ssize_t)n;
}

/* ---- stop, step, go on ---- */

/* The status of its next stop, or of its death. */
static int wait_stop(void)
{
    const struct timespec moment = {.tv_nsec = 200000};
    for (int waited = 0; waited < PATIENCE_MS * 5; waited++) {
        int status;
        pid_t got = waitpid(target.tid, &status, WNOHANG | __WALL);
        if (got == target.tid) return status;
        if (got < 0) fail("wait");
        nanosleep(&moment, NULL);
    }
    kill(target.tid, SIGKILL);
    errno = ETIMEDOUT;
    fail("the call does not return");
}

/* find_instruction - the octets 0f 05 in the first mapping that has them and may be executed. */
static void find_instruction(FILE *maps)
{
    char line[512];
    static uint8_t text[1 << 20];
    while (!target.instruction && fgets(line, sizeof line, maps)) {
        uint64_t from, to;
        char rights[5];
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, rights) != 3 || rights[2] != 'x') continue;
        for (; from < to && !target.instruction; from += sizeof text - 1) {
            ssize_t n = pread(target.memory_fd, text, to - from < sizeof text ? to - from : sizeof text, (off_t)from);
            uint8_t *found = n > 0 ? memmem(text, (size_t)n, "\x0f\x05", 2) : NULL;
            if (found) target.instruction = from + (uint64_t)(found - text);
        }
    }
    if (!target.instruction) fail("no instruction");
}

static FILE *open_of_target(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", target.tid, name);
    FILE *f = fopen(path, "r+");
    if (!f) f = fopen(path, "r");
    if (!f) fail(path);
    return f;
}

static void attach(void)
{
    if (ptrace(PTRACE_SEIZE, target.tid, NULL, (void *)(uintptr_t)TRACED) != 0) fail("attach");
    if (ptrace(PTRACE_INTERRUPT, target.tid, NULL, NULL) != 0) fail("interrupt");
    if (!WIFSTOPPED(wait_stop())) fail("it ended");
    if (ptrace(PTRACE_GETREGS, target.tid, NULL, &target.registers) != 0) fail("registers");
    FILE *memory = open_of_target("mem"), *maps = open_of_target("maps");
    target.memory_fd = fileno(memory); /* stays open */
    find_instruction(maps);
    fclose(maps);
}

/* step - one instruction. A process or thread that it makes is ended before it runs. */
static int step(void)
{
    for (;;) {
        if (ptrace(PTRACE_SINGLESTEP, target.tid, NULL, NULL) != 0 && errno != ESRCH) fail("step"); /* it may be dead: with a thread that it made */
        int status = wait_stop(), event = status >> 16;
        bool has_made = event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE;
        if (!WIFSTOPPED(status) || (WSTOPSIG(status) == SIGTRAP && !has_made)) return status;
        if (!has_made) continue; /* a signal came first: it is not delivered, and the call is still to be made */
        unsigned long made;
        if (ptrace(PTRACE_GETEVENTMSG, target.tid, NULL, &made) != 0) fail("what it made");
        kill((pid_t)made, SIGKILL);
        while (waitpid((pid_t)made, &status, __WALL) == (pid_t)made && !WIFSIGNALED(status)) continue;
    }
}

/* call - false when the process died; *out is the result, or the signal. */
static bool call(long number, const uint64_t a[6], int64_t *out)
{
    struct user_regs_struct r = target.registers;
    r.orig_rax = UINT64_MAX; /* or the kernel would restart what was interrupted */
    r.rax = (uint64_t)number;
    r.rdi = a[0];
    r.rsi = a[1];
    r.rdx = a[2];
    r.r10 = a[3];
    r.r8 = a[4];
    r.r9 = a[5];
    r.rip = target.instruction;
    if (ptrace(PTRACE_SETREGS, target.tid, NULL, &r) != 0) fail("registers");
    int status = step();
    if (!WIFSTOPPED(status)) {
        *out = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        return false;
    }
    if (ptrace(PTRACE_GETREGS, target.tid, NULL, &r) != 0) fail("registers");
    *out = (int64_t)r.rax;
    return true;
}

static void answer(bool lives, int64_t result)
{
    printf("%c %" PRId64 "\n", lives ? '=' : '!', result);
}

/* scratch - room for n octets in a mapping of the process's own. */
static uint64_t scratch(size_t n)
{
    if (!target.scratch) {
        const uint64_t a[6] = {0, SCRATCH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0};
        int64_t got;
        if (!call(SYS_mmap, a, &got) || got < 0) fail("it cannot even have memory");
        target.scratch = (uint64_t)got;
    }
    uint64_t at = target.scratch + target.scratch_used;
    target.scratch_used = (target.scratch_used + n + 15) & ~(uint64_t)15;
    if (target.scratch_used > SCRATCH_BYTES) fail("too many octets");
    return at;
}

/* ---- its ring ---- */

struct ring {
    uint64_t rings, entries; /* where they are mapped */
    struct io_uring_params p;
};

/* The queues are mapped at offset 0 of the ring's file, the entries at IORING_OFF_SQES. */
static void find_ring(struct ring *ring)
{
    char line[512];
    FILE *maps = open_of_target("maps");
    while (fgets(line, sizeof line, maps)) {
        uint64_t from, to, offset;
        if (!strstr(line, "[io_uring]") || sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &from, &to, &offset) != 3) continue;
        if (offset == IORING_OFF_SQES) ring->entries = from;
        if (offset == IORING_OFF_SQ_RING) ring->rings = from;
    }
    fclose(maps);
    if (!ring->entries || !ring->rings) fail("no ring is mapped");
}

static uint32_t ring_word(const struct ring *ring, uint32_t offset)
{
    uint32_t value;
    if (!read_memory(ring->rings + offset, &value, sizeof value)) fail("ring");
    return value;
}

/* A ring of our own of the same size tells where things are in one. */
static void learn_ring(struct ring *ring)
{
    struct io_uring_params p = {0};
    int fd = (int)syscall(SYS_io_uring_setup, 8, &p);
    if (fd < 0) fail("io_uring_setup");
    close(fd);
    ring->p = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE};
    ring->p.cq_entries = ring_word(ring, p.cq_off.ring_entries);
    fd = (int)syscall(SYS_io_uring_setup, ring_word(ring, p.sq_off.ring_entries), &ring->p);
    if (fd < 0) fail("io_uring_setup");
    close(fd);
}

/* The result of the completion that bears our mark. */
static int64_t find_completion(const struct ring *ring)
{
    uint32_t head = ring_word(ring, ring->p.cq_off.head), tail = ring_word(ring, ring->p.cq_off.tail), mask = ring->p.cq_entries - 1;
    for (; head != tail; head++) {
        struct io_uring_cqe cqe;
        if (!read_memory(ring->rings + ring->p.cq_off.cqes + (head & mask) * sizeof cqe, &cqe, sizeof cqe)) fail("completion");
        if (cqe.user_data == target.mark) return cqe.res;
    }
    return NO_COMPLETION;
}

static void command_ring(uint64_t fd, const uint8_t entry[ENTRY_BYTES])
{
    struct ring ring = {0};
    find_ring(&ring);
    learn_ring(&ring);
    struct io_uring_sqe sqe;
    memcpy(&sqe, entry, sizeof sqe);
    sqe.user_data = ++target.mark;
    uint32_t tail = ring_word(&ring, ring.p.sq_off.tail), index = tail & (ring.p.sq_entries - 1), next = tail + 1;
    bool put = write_memory(ring.entries + index * sizeof sqe, &sqe, sizeof sqe);
    put = put && write_memory(ring.rings + ring.p.sq_off.array + index * sizeof index, &index, sizeof index);
    if (!put || !write_memory(ring.rings + ring.p.sq_off.tail, &next, sizeof next)) fail("entry");

    int64_t result = NO_COMPLETION, got;
    for (int i = 0; i < 50 && result == NO_COMPLETION; i++) {
        const uint64_t a[6] = {fd, i == 0 ? 1 : 0, 0, IORING_ENTER_GETEVENTS, 0, 0};
        bool lives = call(SYS_io_uring_enter, a, &got);
        if (!lives || got < 0) {
            answer(lives, got);
            return;
        }
        result = find_completion(&ring);
        if (result == NO_COMPLETION) nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    answer(true, result);
}

/* ---- commands ---- */

static uint64_t number(char **text)
{
    errno = 0;
    char *end;
    uint64_t value = **text == '-' ? (uint64_t)strtoll(*text, &end, 10) : strtoull(*text, &end, 10);
    if (end == *text || errno) fail("not a number");
    for (*text = end; isspace((unsigned char)**text);) (*text)++;
    return value;
}

static size_t octets(const char *text, uint8_t *to, size_t max)
{
    size_t n = 0;
    for (; n < max && isxdigit((unsigned char)text[0]) && isxdigit((unsigned char)text[1]); text += 2) {
        const char pair[3] = {text[0], text[1], 0};
        to[n++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static void command_put(const char *text)
{
    static uint8_t given[LINE_BYTES_MAX / 2];
    size_t n = octets(text, given, sizeof given);
    uint64_t at = scratch(n);
    if (!write_memory(at, given, n)) fail("put");
    printf("@ %" PRIu64 "\n", at);
}

static void command_get(char *text)
{
    static uint8_t got[4096];
    uint64_t at = number(&text), n = number(&text);
    if (n > sizeof got || !read_memory(at, got, n)) fail("get");
    printf("# ");
    for (uint64_t i = 0; i < n; i++) printf("%02x", got[i]);
    putchar('\n');
}

static void command_call(char *text)
{
    uint64_t a[7];
    for (int i = 0; i < 7; i++) a[i] = number(&text);
    int64_t result;
    bool lives = call((long)a[0], a + 1, &result);
    answer(lives, result);
}

static void command_go(void)
{
    if (target.scratch) {
        int64_t result;
        if (!call(SYS_munmap, (const uint64_t[6]){target.scratch, SCRATCH_BYTES}, &result)) fail("it ended");
    }
    if (ptrace(PTRACE_SETREGS, target.tid, NULL, &target.registers) != 0) fail("registers");
    if (ptrace(PTRACE_DETACH, target.tid, NULL, NULL) != 0) fail("detach");
    puts("gone");
    exit(0);
}

static void obey(char *line)
{
    uint8_t entry[ENTRY_BYTES] = {0};
    char *rest = line + strcspn(line, " \n");
    while (isspace((unsigned char)*rest)) *rest++ = 0;
    if (!strcmp(line, "put")) command_put(rest);
    else if (!strcmp(line, "get")) command_get(rest);
    else if (!strcmp(line, "call")) command_call(rest);
    else if (!strcmp(line, "go")) command_go();
    else if (!strcmp(line, "ring")) {
        uint64_t fd = number(&rest);
        (void)octets(rest, entry, sizeof entry);
        command_ring(fd, entry);
    } else fail("no such command");
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES_MAX];
    if (argc != 2) return 64;
    target.tid = (pid_t)(int)strtol(argv[1], NULL, 10);
    attach();
    puts("here");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        obey(line);
        fflush(stdout);
    }
    kill(target.tid, SIGKILL);
    return 0;
}
