/*
 * sink_report - what the sink says while it runs, and at the end.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "bench/mtabench/sink.h"
#include "bench/mtabench/tool.h"

static const uint64_t ns_per_s = UINT64_C(1000000000);

static uint64_t a_second(uint64_t count, uint64_t span_ns)
{
    return span_ns ? (uint64_t)((double)count * (double)ns_per_s / (double)span_ns) : 0;
}

void sink_progress(const struct sink_state *s, uint64_t messages_before, uint64_t span_ns)
{
    const struct sink_counts *c = &s->common->counts;
    char number[3][TOOL_NUMBER_BYTES];
    fprintf(stderr, "%5" PRIu64 " s  %9s/s  messages %s  sessions %u  refused %s\n", s->elapsed_ns / ns_per_s,
            tool_number(number[0], a_second(c->messages - messages_before, span_ns)), tool_number(number[1], c->messages), s->sessions,
            tool_number(number[2], c->refused_recipients + c->refused_messages));
}

static void row(const char *name, uint64_t value)
{
    char number[TOOL_NUMBER_BYTES];
    printf("%-22s %15s\n", name, tool_number(number, value));
}

void sink_table(const struct sink_state *s)
{
    const struct sink_counts *c = &s->common->counts;
    row("messages", c->messages);
    row("recipients", c->recipients);
    row("different ids", ledger_ids(&s->common->ledger));
    row("octets", c->bytes);
    row("connections", c->connections);
    if (c->unnamed) row("without an id", c->unnamed);
    if (c->damaged) row("damaged", c->damaged);
    if (c->refused_recipients) row("recipients refused", c->refused_recipients);
    if (c->refused_messages) row("messages refused", c->refused_messages);
    if (c->dropped) row("connections dropped", c->dropped);
    if (c->messages) printf("%-22s %15.2f\n", "CPU us a message", (double)s->cpu_us / (double)c->messages);
}

void sink_json(const struct sink_state *s)
{
    const struct sink_counts *c = &s->common->counts;
    uint8_t memory[2048];
    struct buf out = BUF_OVER(memory);
    json_open(&out, NULL, '{');
    json_u64(&out, "messages", c->messages);
    json_u64(&out, "recipients", c->recipients);
    json_u64(&out, "ids", ledger_ids(&s->common->ledger));
    json_u64(&out, "bytes", c->bytes);
    json_u64(&out, "connections", c->connections);
    json_u64(&out, "unnamed", c->unnamed);
    json_u64(&out, "damaged", c->damaged);
    json_u64(&out, "refused_recipients", c->refused_recipients);
    json_u64(&out, "refused_messages", c->refused_messages);
    json_u64(&out, "dropped", c->dropped);
    json_u64(&out, "elapsed_us", s->elapsed_ns / 1000);
    json_u64(&out, "cpu_us", s->cpu_us);
    json_u64(&out, "turns", s->turns);
    json_close(&out, '}');
    printf("%.*s\n", (int)out.len, (const char *)out.ptr);
}
