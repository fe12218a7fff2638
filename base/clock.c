/*
 * clock - reading the two clocks, and the calendar of the stamps.
 *
 * The calendar is computed, not asked of libc: it works for every year after lock-down, and in pure code.
 */
#include "base/clock.h"

#include <time.h>

#include "base/must.h"

enum { SECONDS_PER_DAY = 86400, DAYS_PER_ERA = 146097 /* 400 Gregorian years */ };

/* read_clock - cannot fail for a clock that exists and a pointer of ours. */
static struct timespec read_clock(clockid_t id)
{
    struct timespec now;
    must(clock_gettime(id, &now) == 0);
    return now;
}

uint64_t clock_mono_us(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_us(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct civil clock_civil(int64_t wall_s)
{
    int64_t days = wall_s / SECONDS_PER_DAY;
    int64_t rest = wall_s % SECONDS_PER_DAY;
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days--;
    }

    /* Count from 0000-03-01, so that the leap day is the last of its year and every month before it has a fixed start. */
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = shifted - era * DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;

    int64_t weekday = (days % 7 + 4 + 7) % 7; /* 1970-01-01 was a Thursday */
    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2),
        .month = (uint32_t)month,
        .day = (uint32_t)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
        .hour = (uint32_t)(rest / 3600),
        .minute = (uint32_t)(rest / 60 % 60),
        .second = (uint32_t)(rest % 60),
        .weekday = (uint32_t)weekday,
    };
}
