/*
 * err - the one list of ways in which an operation of ours can fail.
 *
 * Zero is success. An `enum err` says that an operation failed; what became of mail is a struct verdict (base/verdict.h),
 * and a bug of ours is must(). Out-parameters are untouched on failure unless a function says otherwise.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

/*    name             retryable  sentence for people */
#define ERR_LIST(E) \
    E(NONE,            0, "success") \
    E(AGAIN,           1, "not now; it will be possible later") \
    E(FULL,            1, "a bounded place is full") \
    E(NO_MEMORY,       1, "out of memory") \
    E(NO_SPACE,        1, "no space left on the file system") \
    E(IO,              1, "input or output failed") \
    E(NOT_FOUND,       0, "there is no such thing") \
    E(EXISTS,          0, "it exists already") \
    E(DENIED,          0, "permission was refused") \
    E(UNSUPPORTED,     0, "this kernel or build cannot do that") \
    E(CORRUPT,         0, "stored data fails its check") \
    E(SHORT,           0, "input ends too early") \
    E(TRAILING,        0, "input goes on after its end") \
    E(TOO_LONG,        0, "a part is longer than its limit") \
    E(BAD_TYPE,        0, "unknown type") \
    E(BAD_VERSION,     0, "unknown version") \
    E(BAD_DIRECTION,   0, "not allowed on this channel") \
    E(BAD_DESCRIPTOR,  0, "descriptor missing or not expected") \
    E(BAD_VALUE,       0, "a value is outside its range") \
    E(BUSY,            1, "in use by somebody else") \
    E(GONE,            0, "the other side is gone") \
    E(TIMEOUT,         1, "it took too long") \
    E(SYSTEM,          0, "a system call failed")

#define ERR_ENUM(name, retryable, text) ERR_##name,
enum err { ERR_LIST(ERR_ENUM) ERR_COUNT };

#define must_use __attribute__((warn_unused_result))

/* err_text - the sentence for `e`; static storage; never NULL. */
const char *err_text(enum err e);

/* err_retryable - whether the same call may succeed later without anybody changing anything. */
bool err_retryable(enum err e);

/*
 * err_from_errno - the enum err for a system call's errno.
 * Cost     a switch; unknown numbers give ERR_SYSTEM.
 */
enum err err_from_errno(int error_number);

#endif
