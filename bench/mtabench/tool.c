/*
 * tool - see tool.h.
 */
#include "bench/mtabench/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/must.h"

volatile sig_atomic_t tool_stop, tool_hangup;

static void on_stop(int number)
{
    (void)number;
    tool_stop = 1;
}

static void on_hangup(int number)
{
    (void)number;
    tool_hangup = 1;
}

void tool_signals(void)
{
    struct sigaction stop = {.sa_handler = on_stop}, hangup = {.sa_handler = on_hangup}, ignore = {.sa_handler = SIG_IGN};
    must(sigaction(SIGINT, &stop, NULL) == 0 && sigaction(SIGTERM, &stop, NULL) == 0);
    must(sigaction(SIGHUP, &hangup, NULL) == 0 && sigaction(SIGPIPE, &ignore, NULL) == 0);
}

uint64_t tool_now_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t tool_cpu_us(void)
{
    struct rusage r;
    must(getrusage(RUSAGE_SELF, &r) == 0);
    return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000U + (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

bool tool_descriptors(uint64_t wanted)
{
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur >= wanted) return true;
    struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return true;
    fprintf(stderr, "mtabench: %llu descriptors are needed, and %llu are allowed (ulimit -n)\n", (unsigned long long)wanted,
            (unsigned long long)limit.rlim_max);
    return false;
}

void tool_complain(const char *text, const char *what)
{
    fprintf(stderr, "mtabench: %s%s%s\n", text, what ? ": " : "", what ? what : "");
}

int tool_usage(const char *text, const char *what)
{
    fprintf(stderr, "mtabench: %s%s%s (mtabench --help)\n", text, what ? ": " : "", what ? what : "");
    return TOOL_USAGE;
}

int tool_usage_value(const char *option, const char *value)
{
    fprintf(stderr, "mtabench: --%s cannot be %s%s%s (mtabench --help)\n", option, value ? "`" : "", value ? value : "that", value ? "'" : "");
    return TOOL_USAGE;
}

bool tool_save_ledger(const struct ledger *l, const char *path)
{
    char beside[4096];
    int n = snprintf(beside, sizeof beside, "%s.new", path);
    FILE *to = n > 0 && (size_t)n < sizeof beside ? fopen(beside, "w") : NULL;
    if (!to) {
        tool_complain("cannot write the ledger", path);
        return false;
    }
    bool good = ledger_write(l, to) == ERR_NONE;
    good = fclose(to) == 0 && good;
    good = good && rename(beside, path) == 0;
    if (!good) tool_complain("cannot write the ledger", path);
    return good;
}

bool tool_load_ledger(struct ledger *l, const char *path)
{
    FILE *from = fopen(path, "r");
    if (!from) {
        tool_complain("cannot read the ledger", path);
        return false;
    }
    enum err e = ledger_read(l, from);
    (void)fclose(from);
    if (e != ERR_NONE) fprintf(stderr, "mtabench: %s: %s\n", path, e == ERR_CORRUPT ? "this is no ledger of mtabench, or a damaged one" : err_text(e));
    return e == ERR_NONE;
}

uint64_t *tool_count_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    void *at = MAP_FAILED;
    size_t bytes = TOOL_COUNTS * sizeof(uint64_t);
    if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0) at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) tool_complain(strerror(errno), path);
    if (fd >= 0) (void)close(fd);
    return at == MAP_FAILED ? NULL : at;
}

const char *tool_number(char *memory, uint64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value), out = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) memory[out++] = ',';
        memory[out++] = digits[i];
    }
    memory[out] = 0;
    return memory;
}

const char *tool_us(char *memory, uint64_t us)
{
    if (us < 1000) (void)snprintf(memory, TOOL_NUMBER_BYTES, "%llu us", (unsigned long long)us);
    else if (us < 1000000) (void)snprintf(memory, TOOL_NUMBER_BYTES, "%.2f ms", (double)us / 1e3);
    else (void)snprintf(memory, TOOL_NUMBER_BYTES, "%.2f s", (double)us / 1e6);
    return memory;
}

void tool_json_histogram(struct buf *out, const char *key, const struct histogram *h)
{
    json_open(out, key, '{');
    json_u64(out, "count", h->count);
    json_u64(out, "mean_us", histogram_mean(h));
    json_u64(out, "least_us", h->least);
    json_u64(out, "p50_us", histogram_at(h, 50000));
    json_u64(out, "p90_us", histogram_at(h, 90000));
    json_u64(out, "p99_us", histogram_at(h, 99000));
    json_u64(out, "p99_9_us", histogram_at(h, 99900));
    json_u64(out, "most_us", h->most);
    json_close(out, '}');
}
