/*
 * main - mtabench: a generator and a sink for any SMTP server, and the comparison of what they saw.
 */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "bench/mtabench/send.h"
#include "bench/mtabench/sink.h"
#include "bench/mtabench/tool.h"

#ifndef BULKHEAD_VERSION
#define BULKHEAD_VERSION "unknown"
#endif

static const char help[] =
    "mtabench - measure mail servers\n\n"
    "  mtabench send [OPTIONS] SERVER[:PORT]...      send mail, measure rate and latency\n"
    "  mtabench sink [OPTIONS] ADDRESS[:PORT]...     take mail, count it\n"
    "  mtabench compare [--json] SENT SEEN           what was lost or doubled between two ledgers\n\n"
    "mtabench send --help and mtabench sink --help list the options; mtabench(1) says more.\n"
    "Exit codes: 0 done, 1 something was lost, refused or went wrong, 2 usage\n";

enum { SHOWN_MAX = 20 }; /* of ids that differ; the counts say the rest */

static void show_one(void *context, struct bytes run, uint64_t number, uint32_t wanted, uint32_t got)
{
    uint32_t *shown = context;
    if ((*shown)++ >= SHOWN_MAX) return;
    printf("%.*s-%012" PRIu64 ": %" PRIu32 " recipients acknowledged, %" PRIu32 " seen\n", (int)run.len, (const char *)run.ptr, number, wanted, got);
}

static void compare_table(const struct ledger_difference *d)
{
    printf("acknowledged %" PRIu64 ", seen %" PRIu64 ", lost %" PRIu64 ", doubled %" PRIu64 ", seen though not acknowledged %" PRIu64 "\n", d->sent, d->seen,
           d->lost, d->doubled, d->unacknowledged);
}

static void compare_json(const struct ledger_difference *d)
{
    uint8_t memory[1024];
    struct buf out = BUF_OVER(memory);
    json_open(&out, NULL, '{');
    json_u64(&out, "acknowledged", d->sent);
    json_u64(&out, "acknowledged_recipients", d->sent_recipients);
    json_u64(&out, "seen", d->seen);
    json_u64(&out, "seen_recipients", d->seen_recipients);
    json_u64(&out, "lost", d->lost);
    json_u64(&out, "lost_recipients", d->lost_recipients);
    json_u64(&out, "doubled", d->doubled);
    json_u64(&out, "doubled_recipients", d->doubled_recipients);
    json_u64(&out, "unacknowledged", d->unacknowledged);
    json_close(&out, '}');
    printf("%.*s\n", (int)out.len, (const char *)out.ptr);
}

static int compare_main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (argc != 3 + json) return tool_usage("compare takes two ledgers: what was acknowledged, and what was seen", NULL);
    struct ledger sent, seen;
    struct ledger_difference d = {0};
    uint32_t shown = 0;
    ledger_init(&sent);
    ledger_init(&seen);
    bool read = tool_load_ledger(&sent, argv[1 + json]) && tool_load_ledger(&seen, argv[2 + json]);
    if (read) {
        d = ledger_compare(&sent, &seen, json ? NULL : show_one, &shown);
        if (shown > SHOWN_MAX) printf("... and %" PRIu32 " more\n", shown - SHOWN_MAX);
        if (json) compare_json(&d);
        else compare_table(&d);
    }
    ledger_fini(&sent);
    ledger_fini(&seen);
    return read && d.lost == 0 && d.doubled == 0 ? TOOL_OK : TOOL_NEGATIVE;
}

int main(int argc, char **argv)
{
    static char send_name[] = "mtabench send", sink_name[] = "mtabench sink";
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "send") == 0) return argv[1] = send_name, send_main(argc - 1, argv + 1);
    if (strcmp(word, "sink") == 0) return argv[1] = sink_name, sink_main(argc - 1, argv + 1);
    if (strcmp(word, "compare") == 0) return compare_main(argc - 1, argv + 1);
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) return puts("mtabench (Bulkhead) " BULKHEAD_VERSION), TOOL_OK;
    if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) return fputs(help, stdout), TOOL_OK;
    if (argc < 2) return fputs(help, stderr), TOOL_USAGE;
    return tool_usage("not known", word);
}
