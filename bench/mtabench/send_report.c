/*
 * send_report - what the generator says while it runs, and at the end.
 */
#include <inttypes.h>

#include "base/json.h"
#include "bench/mtabench/send.h"
#include "bench/mtabench/tool.h"

static const uint64_t ns_per_s = UINT64_C(1000000000);
static const char *const phase_names[PHASE_COUNT] = {"connect", "greeting", "end_of_data", "message"};
static const char *const phase_titles[PHASE_COUNT] = {"connect", "greeting", "end of data", "message"};

static double a_second(uint64_t count, uint64_t span_ns)
{
    return span_ns ? (double)count * (double)ns_per_s / (double)span_ns : 0;
}

/* From the start to the last answer: what comes behind is only hanging up. */
static uint64_t span(const struct send *k)
{
    return k->last_end_ns - k->began_ns;
}

void send_progress(struct send *k, uint64_t acknowledged_before, uint64_t span_ns)
{
    static struct histogram recent;
    const struct send_counts *c = &k->counts;
    char number[5][TOOL_NUMBER_BYTES];
    recent = k->latency[PHASE_MESSAGE];
    histogram_subtract(&recent, &k->before);
    k->before = k->latency[PHASE_MESSAGE];
    fprintf(stderr, "%5" PRIu64 " s  %9s/s  acknowledged %s  sessions %u  refused %s  unanswered %s  p50 %s", (k->now_ns - k->began_ns) / ns_per_s,
            tool_number(number[0], (uint64_t)a_second(c->acknowledged - acknowledged_before, span_ns)), tool_number(number[1], c->acknowledged),
            k->open_count, tool_number(number[2], c->later + c->never), tool_number(number[3], c->unanswered),
            tool_us(number[4], histogram_at(&recent, 50000)));
    fprintf(stderr, "  p99 %s\n", tool_us(number[4], histogram_at(&recent, 99000)));
}

static void row(const char *name, uint64_t value)
{
    char number[TOOL_NUMBER_BYTES];
    printf("%-22s %15s\n", name, tool_number(number, value));
}

static void latency_row(const char *name, const struct histogram *h)
{
    static const uint32_t points[] = {50000, 90000, 99000, 99900};
    char text[TOOL_NUMBER_BYTES];
    printf("%-14s", name);
    for (uint32_t i = 0; i < sizeof points / sizeof points[0]; i++) printf("%12s", tool_us(text, histogram_at(h, points[i])));
    printf("%12s\n", tool_us(text, h->most));
}

void send_table(const struct send *k)
{
    const struct send_counts *c = &k->counts;
    char number[TOOL_NUMBER_BYTES];
    row("acknowledged", c->acknowledged);
    row("recipients", c->recipients);
    if (c->later) row("refused for now", c->later);
    if (c->never) row("refused for good", c->never);
    if (c->refused_recipients) row("recipients refused", c->refused_recipients);
    if (c->unanswered) row("unanswered", c->unanswered);
    if (c->resent) row("sent again", c->resent);
    row("connections", c->connections);
    if (c->failed_connections) row("failed connections", c->failed_connections);
    if (c->lost_connections) row("lost connections", c->lost_connections);
    if (c->timeouts) row("timeouts", c->timeouts);
    printf("%-22s %15.3f\n", "seconds", (double)span(k) / 1e9);
    printf("%-22s %15s\n", "messages a second", tool_number(number, (uint64_t)a_second(c->acknowledged, span(k))));
    if (c->acknowledged) printf("%-22s %15.2f\n", "CPU us a message", (double)tool_cpu_us() / (double)c->acknowledged);
    printf("\n%-14s%12s%12s%12s%12s%12s\n", "", "p50", "p90", "p99", "p99.9", "most");
    for (uint32_t i = 0; i < PHASE_COUNT; i++) {
        if (k->latency[i].count) latency_row(phase_titles[i], &k->latency[i]);
    }
}

void send_json(const struct send *k)
{
    const struct send_counts *c = &k->counts;
    uint8_t memory[4096];
    struct buf out = BUF_OVER(memory);
    json_open(&out, NULL, '{');
    json_text(&out, "run", k->options->run);
    json_cstr(&out, "loop", k->options->interval_ns ? "open" : "closed");
    json_u64(&out, "begun", c->begun);
    json_u64(&out, "acknowledged", c->acknowledged);
    json_u64(&out, "recipients", c->recipients);
    json_u64(&out, "refused_for_now", c->later);
    json_u64(&out, "refused_for_good", c->never);
    json_u64(&out, "refused_recipients", c->refused_recipients);
    json_u64(&out, "unanswered", c->unanswered);
    json_u64(&out, "resent", c->resent);
    json_u64(&out, "connections", c->connections);
    json_u64(&out, "failed_connections", c->failed_connections);
    json_u64(&out, "lost_connections", c->lost_connections);
    json_u64(&out, "timeouts", c->timeouts);
    json_u64(&out, "bytes", c->bytes);
    json_u64(&out, "elapsed_us", span(k) / 1000);
    json_u64(&out, "messages_per_s", (uint64_t)a_second(c->acknowledged, span(k)));
    json_u64(&out, "cpu_us", tool_cpu_us());
    json_u64(&out, "turns", k->wire.turns);
    json_open(&out, "latency", '{');
    for (uint32_t i = 0; i < PHASE_COUNT; i++) tool_json_histogram(&out, phase_names[i], &k->latency[i]);
    json_close(&out, '}');
    if (k->fatal) json_cstr(&out, "ended_early", k->fatal);
    json_close(&out, '}');
    printf("%.*s\n", (int)out.len, (const char *)out.ptr);
}
