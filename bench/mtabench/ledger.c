/*
 * ledger - see ledger.h.
 */
#include "bench/mtabench/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum { NUMBERS_FIRST = 4096, RUNS_FIRST = 8, LINE_BYTES_MAX = 128 };

static const char first_line[] = "# mtabench ledger 1: RUN FIRST LAST RECIPIENTS\n";

void ledger_init(struct ledger *l)
{
    *l = (struct ledger){0};
}

void ledger_fini(struct ledger *l)
{
    for (uint32_t i = 0; i < l->run_count; i++) free(l->runs[i].counts);
    free(l->runs);
    *l = (struct ledger){0};
}

static bool is_run(const struct ledger_run *run, struct bytes name)
{
    return bytes_equal(bytes_of(run->name, run->name_len), name);
}

static struct ledger_run *find_run(struct ledger *l, struct bytes name)
{
    if (l->recent < l->run_count && is_run(&l->runs[l->recent], name)) return &l->runs[l->recent];
    for (uint32_t i = 0; i < l->run_count; i++) {
        if (!is_run(&l->runs[i], name)) continue;
        l->recent = i;
        return &l->runs[i];
    }
    return NULL;
}

static enum err add_run(struct ledger *l, struct bytes name, struct ledger_run **out)
{
    must(ident_run_valid(name));
    if (l->run_count == LEDGER_RUNS_MAX) return ERR_FULL;
    if (l->run_count == l->run_cap) {
        uint32_t cap = l->run_cap ? 2 * l->run_cap : RUNS_FIRST;
        struct ledger_run *runs = reallocarray(l->runs, cap, sizeof *runs);
        if (!runs) return ERR_NO_MEMORY;
        l->runs = runs;
        l->run_cap = cap;
    }
    struct ledger_run *run = &l->runs[l->run_count];
    *run = (struct ledger_run){.name_len = name.len};
    memcpy(run->name, name.ptr, name.len);
    l->recent = l->run_count++;
    *out = run;
    return ERR_NONE;
}

static enum err make_room(struct ledger_run *run, uint64_t number)
{
    if (number < run->numbers) return ERR_NONE;
    if (number > LEDGER_NUMBER_MAX) return ERR_BAD_VALUE;
    uint64_t numbers = run->numbers ? run->numbers : NUMBERS_FIRST;
    while (numbers <= number) numbers *= 2;
    uint16_t *counts = reallocarray(run->counts, numbers, sizeof *counts);
    if (!counts) return ERR_NO_MEMORY;
    memset(counts + run->numbers, 0, (numbers - run->numbers) * sizeof *counts);
    run->counts = counts;
    run->numbers = numbers;
    return ERR_NONE;
}

enum err ledger_add(struct ledger *l, struct bytes name, uint64_t number, uint32_t recipients)
{
    struct ledger_run *run = find_run(l, name);
    enum err e = run ? ERR_NONE : add_run(l, name, &run);
    if (e == ERR_NONE) e = make_room(run, number);
    if (e != ERR_NONE || recipients == 0) return e;
    uint16_t *count = &run->counts[number];
    if (*count == 0) run->ids++;
    *count = (uint16_t)(recipients > LEDGER_COUNT_MAX - (uint32_t)*count ? LEDGER_COUNT_MAX : *count + recipients);
    run->recipients += recipients;
    if (number > run->last) run->last = number;
    return ERR_NONE;
}

static uint32_t count_in(const struct ledger_run *run, uint64_t number)
{
    return run && number < run->numbers ? run->counts[number] : 0;
}

uint32_t ledger_count(struct ledger *l, struct bytes name, uint64_t number)
{
    return count_in(find_run(l, name), number);
}

uint64_t ledger_ids(const struct ledger *l)
{
    uint64_t ids = 0;
    for (uint32_t i = 0; i < l->run_count; i++) ids += l->runs[i].ids;
    return ids;
}

static void write_run(const struct ledger_run *run, FILE *to)
{
    uint64_t number = 1;
    while (number <= run->last) {
        uint64_t first = number;
        uint16_t count = run->counts[first];
        while (number <= run->last && run->counts[number] == count) number++;
        if (count == 0) continue;
        fprintf(to, "%.*s %llu %llu %u\n", (int)run->name_len, (const char *)run->name, (unsigned long long)first, (unsigned long long)(number - 1),
                (unsigned)count);
    }
}

enum err ledger_write(const struct ledger *l, FILE *to)
{
    fputs(first_line, to);
    for (uint32_t i = 0; i < l->run_count; i++) write_run(&l->runs[i], to);
    return fflush(to) == 0 && !ferror(to) ? ERR_NONE : ERR_IO;
}

static struct bytes take_word(struct bytes *rest)
{
    uint32_t end = bytes_find(*rest, ' ');
    struct bytes word = bytes_slice(*rest, 0, end);
    *rest = bytes_from(*rest, end + 1);
    return word;
}

static enum err read_line(struct ledger *l, struct bytes line)
{
    uint64_t first, last, recipients;
    struct bytes run = take_word(&line);
    if (!ident_run_valid(run) || !bytes_to_u64(take_word(&line), &first) || !bytes_to_u64(take_word(&line), &last)) return ERR_CORRUPT;
    if (!bytes_to_u64(line, &recipients) || recipients > LEDGER_COUNT_MAX || first == 0 || last < first || last > LEDGER_NUMBER_MAX) return ERR_CORRUPT;
    for (uint64_t number = first; number <= last; number++) {
        enum err e = ledger_add(l, run, number, (uint32_t)recipients);
        if (e != ERR_NONE) return e;
    }
    return ERR_NONE;
}

enum err ledger_read(struct ledger *l, FILE *from)
{
    char memory[LINE_BYTES_MAX];
    bool is_first = true;
    while (fgets(memory, sizeof memory, from)) {
        struct bytes line = bytes_of_cstr(memory);
        if (is_first && !bytes_equal(line, bytes_of_cstr(first_line))) return ERR_CORRUPT;
        if (line.len == 0 || line.ptr[line.len - 1] != '\n') return ERR_CORRUPT;
        line.len--;
        enum err e = is_first ? ERR_NONE : read_line(l, line);
        if (e != ERR_NONE) return e;
        is_first = false;
    }
    if (ferror(from)) return ERR_IO;
    return is_first ? ERR_CORRUPT : ERR_NONE;
}

struct ledger_difference ledger_compare(struct ledger *sent, struct ledger *seen, ledger_each_fn *each, void *context)
{
    struct ledger_difference d = {0};
    for (uint32_t i = 0; i < sent->run_count; i++) {
        const struct ledger_run *mine = &sent->runs[i];
        struct bytes name = bytes_of(mine->name, mine->name_len);
        const struct ledger_run *theirs = find_run(seen, name);
        uint64_t last = theirs && theirs->last > mine->last ? theirs->last : mine->last;
        for (uint64_t number = 1; number <= last; number++) {
            uint32_t wanted = count_in(mine, number), got = count_in(theirs, number);
            d.sent += wanted > 0;
            d.sent_recipients += wanted;
            d.seen += got > 0;
            d.seen_recipients += got;
            d.lost += got < wanted;
            d.lost_recipients += got < wanted ? wanted - got : 0;
            d.unacknowledged += wanted == 0 && got > 0;
            d.doubled += wanted > 0 && got > wanted;
            d.doubled_recipients += wanted > 0 && got > wanted ? got - wanted : 0;
            if (each && wanted > 0 && got != wanted) each(context, name, number, wanted, got);
        }
    }
    return d;
}
