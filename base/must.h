/*
 * must - assertions that stay on in release.
 *
 * must() states what our own code guarantees; a false one is our bug, and ends the process (the master restarts it).
 * Never use it on bytes from the network, a peer process or the disk: those are judged with ordinary results.
 * must_slow() walks whole structures and is compiled in debug and fuzz builds only.
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H

/* must_fail - report the broken condition on stderr and abort. Never returns. */
_Noreturn void must_fail(const char *condition, const char *file, int line);

#define must(condition) \
    do { \
        if (__builtin_expect(!(condition), 0)) must_fail(#condition, __FILE__, __LINE__); \
    } while (0)

#ifdef BULKHEAD_SLOW_CHECKS
#define must_slow(condition) must(condition)
#else
#define must_slow(condition) \
    do { \
        if (0) (void)(condition); \
    } while (0)
#endif

#endif
