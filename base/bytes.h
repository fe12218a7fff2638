/*
 * bytes - counted slices and bounded builders; the only text types of this code.
 *
 * A `struct bytes` is borrowed, always: it points into memory that somebody else owns, and is not NUL-terminated.
 * A `struct buf` is a builder over memory that the caller gave it: it never writes past `cap`, and remembers in
 * `overflow` that something did not fit (then nothing of that piece was written). Knows no mail protocol.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>

struct bytes {
    const uint8_t *ptr; /* borrowed; may be NULL only when len is 0 */
    uint32_t len;       /* octets */
};

/* BYTES("literal") - a slice of a string literal, without its NUL. */
#define BYTES(literal) ((struct bytes){(const uint8_t *)("" literal), (uint32_t)(sizeof(literal) - 1)})
/* BYTES_INIT("literal") - the same as an initializer of a static. */
#define BYTES_INIT(literal) {(const uint8_t *)("" literal), (uint32_t)(sizeof(literal) - 1)}

/* bytes_of - a slice of n octets at ptr. */
static inline struct bytes bytes_of(const void *ptr, uint32_t n) { return (struct bytes){(const uint8_t *)ptr, n}; }

/* bytes_of_cstr - a slice of a NUL-terminated string of our own (argv, getenv); never of the network's. */
struct bytes bytes_of_cstr(const char *text);

/* bytes_equal - same length and octets. */
bool bytes_equal(struct bytes a, struct bytes b);

/* bytes_equal_nocase - the same, with ASCII letters compared without case (RFC 5321 2.4). */
bool bytes_equal_nocase(struct bytes a, struct bytes b);

/* bytes_compare - like memcmp, the shorter first when one is a prefix of the other. Returns <0, 0, >0. */
int bytes_compare(struct bytes a, struct bytes b);

/* bytes_starts / bytes_starts_nocase / bytes_ends_nocase - prefix and suffix tests. */
bool bytes_starts(struct bytes text, struct bytes prefix);
bool bytes_starts_nocase(struct bytes text, struct bytes prefix);
bool bytes_ends_nocase(struct bytes text, struct bytes suffix);

/* bytes_find - index of the first octet `c`, or text.len when there is none. */
uint32_t bytes_find(struct bytes text, uint8_t c);

/* bytes_find_last - index of the last octet `c`, or text.len when there is none. */
uint32_t bytes_find_last(struct bytes text, uint8_t c);

/* bytes_slice - text[from..from+n), cut to what there is; from past the end gives an empty slice. */
struct bytes bytes_slice(struct bytes text, uint32_t from, uint32_t n);

/* bytes_from - text[from..end). */
struct bytes bytes_from(struct bytes text, uint32_t from);

/* bytes_trim - without SP and HT at both ends. */
struct bytes bytes_trim(struct bytes text);

/* bytes_to_u64 - decimal digits only, at least one, no sign; false on anything else or past UINT64_MAX. */
bool bytes_to_u64(struct bytes text, uint64_t *value);

/* bytes_is_ascii - no octet over 127. */
bool bytes_is_ascii(struct bytes text);

/* bytes_is_utf8 - well-formed UTF-8 (RFC 3629): no overlong form, no surrogate, at most U+10FFFF. */
bool bytes_is_utf8(struct bytes text);

/* ascii_lower - 'A'..'Z' to 'a'..'z', others unchanged. */
static inline uint8_t ascii_lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }
static inline bool ascii_is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static inline bool ascii_is_alpha(uint8_t c) { return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z'; }

struct buf {
    uint8_t *ptr;  /* the caller's memory */
    uint32_t len;  /* octets written */
    uint32_t cap;  /* octets there are */
    bool overflow; /* a piece did not fit; it and only it was left out */
};

/* buf_over - a builder over memory of `cap` octets. */
static inline struct buf buf_over(void *memory, uint32_t cap) { return (struct buf){(uint8_t *)memory, 0, cap, false}; }
#define BUF_OVER(array) buf_over((array), (uint32_t)sizeof(array))

/* buf_bytes - what has been written so far. */
static inline struct bytes buf_bytes(const struct buf *b) { return (struct bytes){b->ptr, b->len}; }

/* buf_room - octets that still fit. */
static inline uint32_t buf_room(const struct buf *b) { return b->cap - b->len; }

/* buf_put - append a slice, whole or not at all (then overflow is set). */
void buf_put(struct buf *b, struct bytes text);

/* buf_put_cut - append as much of a slice as fits; sets overflow when it was cut. */
void buf_put_cut(struct buf *b, struct bytes text);

/* buf_put_c - append one octet. */
void buf_put_c(struct buf *b, uint8_t c);

/* BUF_LIT - append a string literal. */
#define BUF_LIT(b, literal) buf_put((b), BYTES(literal))

/* buf_put_cstr - append a NUL-terminated string of our own. */
void buf_put_cstr(struct buf *b, const char *text);

/* buf_put_u64 / buf_put_i64 - append in decimal. */
void buf_put_u64(struct buf *b, uint64_t value);
void buf_put_i64(struct buf *b, int64_t value);

/* buf_put_pad - append in decimal with leading zeroes to at least `digits` (at most 20). */
void buf_put_pad(struct buf *b, uint64_t value, uint32_t digits);

/* buf_put_hex - append as exactly `digits` (1..16) lower-case hexadecimal digits, the high ones cut. */
void buf_put_hex(struct buf *b, uint64_t value, uint32_t digits);

/* buf_put_le / buf_get_le - `n` (1..8) octets, least significant first. */
void buf_put_le(struct buf *b, uint64_t value, uint32_t n);

/* buf_put_escaped - append foreign octets safely: printable ASCII as it is, the rest as \xNN, `\` as `\\`, cut after max octets of input with "...".
 *                   What does not fit is cut between two escapes, and sets overflow. */
void buf_put_escaped(struct buf *b, struct bytes text, uint32_t max);

/* buf_put_json - append as a JSON string with quotes; octets that are not UTF-8 become U+FFFD. Whole or not at all. */
void buf_put_json(struct buf *b, struct bytes text);

struct cursor {
    const uint8_t *ptr; /* start of the input, borrowed */
    uint32_t pos, len;  /* octets read, octets there are */
    bool failed;        /* a read went past the end; every later one gives 0 */
};

/* cursor_over - read a slice from its start, forwards only. */
static inline struct cursor cursor_over(struct bytes in) { return (struct cursor){in.ptr, 0, in.len, false}; }
static inline uint32_t cursor_left(const struct cursor *c) { return c->len - c->pos; }

/* cursor_le - n (1..8) octets, least significant first; 0 and failed when there are fewer. */
uint64_t cursor_le(struct cursor *c, uint32_t n);

/* cursor_take - the next n octets, borrowed; empty and failed when there are fewer. */
struct bytes cursor_take(struct cursor *c, uint32_t n);

#endif
