/*
 * json - JSON of our own (RFC 8259): written member by member into a buf, and read back by slices.
 *
 * The writer puts commas where they belong by looking at what it wrote last; it keeps no state. The reader is no validator: it finds members and
 * elements in what one of our programs wrote, is bounded and never recurses whatever it is given, and calls "not there" what it cannot make out.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/bytes.h"

/* Writer. `key` NULL = an element of an array. Overflow as any buf: a value may be missing behind its key then, and the text is no JSON any more. */
void json_open(struct buf *b, const char *key, char bracket); /* '{' or '[' */
void json_close(struct buf *b, char bracket);                 /* '}' or ']' */
void json_text(struct buf *b, const char *key, struct bytes value);
void json_cstr(struct buf *b, const char *key, const char *value);
void json_u64(struct buf *b, const char *key, uint64_t value);
void json_i64(struct buf *b, const char *key, int64_t value);
void json_bool(struct buf *b, const char *key, bool value);

/* json_member - the value of a member of an object, as a slice of its text; false when it has none of that name. O(n). */
bool json_member(struct bytes object, const char *key, struct bytes *value);

/* json_elements - what to give to json_next(): the inside of an array; empty for anything else. */
struct bytes json_elements(struct bytes array);
/* json_next - the next element; moves `rest` behind it. */
bool json_next(struct bytes *rest, struct bytes *value);

/* json_unquote - append the text of a string value to out, unescaped; nothing for a value that is no string. Returns what was appended. */
struct bytes json_unquote(struct bytes value, struct buf *out);
/* json_number - a value that is an integer, 0 for anything else. json_is_true - the literal. */
int64_t json_number(struct bytes value);
bool json_is_true(struct bytes value);

#endif
