/*
 * reply_generated_fuzz - replies by the hundred million. No fuzzing engine: it makes replies that are nearly right, cuts them anywhere, and compares each
 * with a slow reading of RFC 5321 4.2 that shares nothing with the parser. smtp/reply_fuzz.c looks for new paths; this one counts.
 *
 * It understands of a fuzzer's words -max_total_time, -runs, -seed and -artifact_prefix, so that it runs in the same list. Needs a sanitizer's runtime.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/must.h"
#include "smtp/reply.h"

void __sanitizer_set_death_callback(void (*callback)(void));

enum { INPUT_BYTES_MAX = 8192, LINES_MAX = 5, CLOCK_EVERY = 4096 };

static uint8_t input[INPUT_BYTES_MAX];
static uint32_t input_len;
static uint64_t state, first_state;
static const char *artifacts = "";

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 32) * below >> 32);
}

/* ---- making replies ---- */

static void put(const char *text, uint32_t n)
{
    if (n > INPUT_BYTES_MAX - input_len) n = INPUT_BYTES_MAX - input_len;
    memcpy(input + input_len, text, n);
    input_len += n;
}

static void put_line(uint32_t code, bool last)
{
    static const char *const texts[] = {"ok", "2.0.0 queued as 1", "5.1.1", "mx.example", "PIPELINING", "", "a-b c", "4.2.1 later\x80\xff"};
    static const char *const ends[] = {"\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r\r\n"};
    char digits[4];
    put(digits, (uint32_t)snprintf(digits, sizeof digits, "%03u", code));
    const char *text = texts[draw(sizeof texts / sizeof *texts)], *end = ends[draw(sizeof ends / sizeof *ends)];
    if (!last || *text || draw(2)) put(last ? " " : "-", 1);
    put(text, (uint32_t)strlen(text));
    if (draw(400) == 0) {
        static const char filler[] = "a line may be much longer than it should be, but not without an end; ";
        for (uint32_t n = draw(130); n > 0; n--) put(filler, sizeof filler - 1);
    }
    put(end, (uint32_t)strlen(end));
}

static void make(void)
{
    static const uint8_t likely[] = {'\r', '\n', '-', ' ', '2', '5', '0', '9', 0, 0xff};
    uint32_t lines = 1 + (draw(3) ? 0 : draw(LINES_MAX)), code = draw(8) ? 200 + draw(400) : draw(1000);
    input_len = 0;
    for (uint32_t i = 0; i < lines; i++) put_line(draw(30) ? code : draw(1000), i + 1 == lines);
    if (draw(8) == 0) put("250 next\r\n", 10);
    for (uint32_t n = draw(4); n > 0 && draw(2); n--) input[draw(input_len)] = draw(4) ? likely[draw(sizeof likely)] : (uint8_t)draw(256);
    if (draw(8) == 0) input_len = draw(input_len + 1);
}

/* ---- the slow reading ---- */

static uint32_t code_at(uint32_t line)
{
    return (input[line] - '0') * 100u + (input[line + 1] - '0') * 10u + (input[line + 2] - '0');
}

/* fits - whether octet `at` of the line that starts at `line` may stand there, when those before it may. */
static bool fits(uint32_t line, uint32_t at)
{
    uint8_t c = input[at];
    uint32_t place = at - line;
    if (at >= SMTP_REPLY_BYTES_MAX || place >= SMTP_REPLY_LINE_BYTES_MAX) return false;
    if (place < 3 && !ascii_is_digit(c)) return false;
    if (place < 2) return true;
    if (place == 2) return code_at(line) >= 200 && code_at(line) <= 599 && code_at(line) == code_at(0);
    bool after_cr = place > 3 && input[at - 1] == '\r' && memchr(input + line, '\r', place) != NULL;
    if (after_cr) return c == '\r' || c == '\n';
    return place > 3 || c == '-' || c == ' ' || c == '\r' || c == '\n';
}

static enum smtp_feed read_slowly(uint32_t *used, uint32_t *lines)
{
    uint32_t line = 0;
    *lines = 0;
    for (uint32_t at = 0; at < input_len; at++) {
        *used = at + 1;
        if (!fits(line, at)) return SMTP_GARBLED;
        if (input[at] != '\n') continue;
        ++*lines;
        if (input[line + 3] != '-') return SMTP_DONE;
        line = at + 1;
    }
    *used = input_len;
    return SMTP_MORE;
}

static void compare(void)
{
    static struct smtp_reply r;
    uint32_t want_used = 0, want_lines, used = 0, cut = draw(4) ? draw(input_len + 1) : input_len;
    enum smtp_feed want = read_slowly(&want_used, &want_lines);
    smtp_reply_init(&r);
    enum smtp_feed got = smtp_reply_feed(&r, bytes_of(input, cut), &used);
    if (got == SMTP_MORE) {
        uint32_t more = 0;
        must(used == cut);
        got = smtp_reply_feed(&r, bytes_of(input + cut, input_len - cut), &more);
        used += more;
    }
    must(got == want && used == want_used && r.lines == want_lines);
    if (want_lines > 0) must(r.code == code_at(0));
    struct enhanced e = smtp_reply_enhanced(&r);
    must(e.class == 0 || (e.class == r.code / 100 && e.subject <= 999 && e.detail <= 999));
}

/* ---- the engine's place ---- */

static void keep_input(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%sreply-%016llx", artifacts, (unsigned long long)first_state);
    FILE *file = fopen(path, "wb");
    if (!file) return;
    fwrite(input, 1, input_len, file);
    fclose(file);
    fprintf(stderr, "the reply is in %s\n", path);
}

static void on_abort(int number)
{
    (void)number;
    keep_input();
    _Exit(77);
}

int main(int count, char **words)
{
    uint64_t runs = UINT64_MAX, seconds = UINT64_MAX, done = 0;
    if (getrandom(&state, sizeof state, 0) != sizeof state) return 1;
    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], "-runs=", 6) == 0) runs = strtoull(words[i] + 6, NULL, 10);
        if (strncmp(words[i], "-max_total_time=", 16) == 0) seconds = strtoull(words[i] + 16, NULL, 10);
        if (strncmp(words[i], "-seed=", 6) == 0) state = strtoull(words[i] + 6, NULL, 16);
        if (strncmp(words[i], "-artifact_prefix=", 17) == 0) artifacts = words[i] + 17;
    }
    if (state == 0) state = 1;
    first_state = state;
    signal(SIGABRT, on_abort);
    __sanitizer_set_death_callback(keep_input);
    time_t began = time(NULL);
    for (; done < runs; done++) {
        if (done % CLOCK_EVERY == 0 && (uint64_t)(time(NULL) - began) >= seconds) break;
        make();
        compare();
    }
    fprintf(stderr, "seed %016llx\nstat::number_of_executed_units: %llu\n", (unsigned long long)first_state, (unsigned long long)done);
    return 0;
}
