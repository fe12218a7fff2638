/*
 * clock - the two clocks. Monotonic time drives timers; wall time is only for stamps, and for dates that must survive a restart.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* clock_mono_us / clock_mono_ms - CLOCK_MONOTONIC; never goes back. */
uint64_t clock_mono_us(void);
uint64_t clock_mono_ms(void);

/* clock_wall_us - CLOCK_REALTIME, microseconds since 1970; may jump. */
int64_t clock_wall_us(void);

struct civil {
    int64_t year;                                 /* e.g. 2026 */
    uint32_t month, day, hour, minute, second;    /* month 1..12, day 1..31 */
    uint32_t weekday;                             /* 0 = Sunday */
};

/* clock_civil - UTC date of wall seconds; pure, proleptic Gregorian, any int64 second of years -9999..9999. */
struct civil clock_civil(int64_t wall_s);

#endif
