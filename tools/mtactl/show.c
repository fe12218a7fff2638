/*
 * show - numbers, ages, sizes and foreign texts on a terminal.
 */
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "mtactl.h"

enum { TEXT_BYTES_MAX = 64 * 1024 };

/* is_c1 - the two octets of U+0080..U+009F, which terminals may obey. */
static bool is_c1(struct bytes text, uint32_t i) { return text.ptr[i] == 0xc2 && i + 1 < text.len && text.ptr[i + 1] < 0xa0; }

void show_text(struct bytes text, int width)
{
    int shown = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool both = is_c1(text, i);
        if (c < ' ' || c == 127 || both) {
            shown += printf("\\x%02X", c);
            if (both) shown += printf("\\x%02X", text.ptr[++i]);
            continue;
        }
        putchar(c);
        shown += (c & 0xc0) != 0x80;
    }
    for (; shown < width; shown++) putchar(' ');
}

bool member_is_true(struct bytes object, const char *key)
{
    struct bytes value;
    return json_member(object, key, &value) && json_is_true(value);
}

/* A number that could not be added to or taken from a time without overflow is cut: it is none that mtad sends. */
int64_t member_number(struct bytes object, const char *key)
{
    static const int64_t most = INT64_MAX / 4;
    struct bytes value;
    int64_t number = json_member(object, key, &value) ? json_number(value) : 0;
    return number > most ? most : number < -most ? -most : number;
}

struct bytes member_text(struct bytes object, const char *key)
{
    static uint8_t memory[TEXT_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    struct bytes value;
    return json_member(object, key, &value) ? json_unquote(value, &out) : (struct bytes){0};
}

void show_member(struct bytes object, const char *key, int width) { show_text(member_text(object, key), width); }

void show_age(int64_t seconds, int width)
{
    char text[48];
    if (seconds < 0) seconds = 0;
    int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (days) snprintf(text, sizeof text, "%" PRId64 "d%" PRId64 "h", days, hours % 24);
    else if (hours) snprintf(text, sizeof text, "%" PRId64 "h%" PRId64 "m", hours, minutes % 60);
    else if (minutes) snprintf(text, sizeof text, "%" PRId64 "m%" PRId64 "s", minutes, seconds % 60);
    else snprintf(text, sizeof text, "%" PRId64 "s", seconds);
    printf("%-*s", width, text);
}

void show_size(uint64_t octets, int width)
{
    char text[32];
    double value = (double)octets;
    const char *unit = "KMGTP";
    if (octets < 1024) {
        snprintf(text, sizeof text, "%" PRIu64, octets);
    } else {
        for (value /= 1024; value >= 1024 && unit[1]; unit++) value /= 1024;
        snprintf(text, sizeof text, value < 10 ? "%.1f%c" : "%.0f%c", value, *unit);
    }
    printf("%-*s", width, text);
}

void show_time(int64_t wall_s)
{
    char text[40];
    time_t t = (time_t)wall_s;
    struct tm tm;
    if (!wall_s || !localtime_r(&t, &tm) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm)) {
        putchar('-');
        return;
    }
    fputs(text, stdout);
}

void show_plural(uint64_t n, const char *one) { printf("%" PRIu64 " %s%s", n, one, n == 1 ? "" : "s"); }

void show_counts(uint64_t messages, uint64_t recipients, uint64_t octets)
{
    show_plural(messages, "message");
    fputs(", ", stdout);
    show_plural(recipients, "recipient");
    fputs(", ", stdout);
    show_size(octets, 0);
}

static bool in_color(const struct ctl *c) { return !c->no_color && isatty(STDOUT_FILENO); }
void show_alarm(const struct ctl *c)
{
    if (in_color(c)) fputs("\033[1;31m", stdout);
}
void show_plain(const struct ctl *c)
{
    if (in_color(c)) fputs("\033[0m", stdout);
}

int64_t show_now(void) { return (int64_t)time(NULL); }

void print_json_line(const struct buf *b)
{
    fwrite(b->ptr, 1, b->len, stdout);
    putchar('\n');
}
