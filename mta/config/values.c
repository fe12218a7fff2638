/*
 * values - see mta/config/values.h.
 */
#include "mta/config/values.h"

#include "mta/config/config.h"

enum {
    DISTANCE_BYTES_MAX = 48, /* longer than any keyword */
    USER_BYTES_MAX = 32,     /* useradd(8) */
};

struct unit {
    struct bytes name;
    uint64_t factor;
};

/* Largest first, for printing. */
static const struct unit time_units[] = {
    {BYTES_INIT("w"), 604800000}, {BYTES_INIT("d"), 86400000}, {BYTES_INIT("h"), 3600000},
    {BYTES_INIT("m"), 60000},     {BYTES_INIT("s"), 1000},     {BYTES_INIT("ms"), 1},
};
static const struct unit size_units[] = {
    {BYTES_INIT("T"), 1ULL << 40}, {BYTES_INIT("G"), 1ULL << 30}, {BYTES_INIT("M"), 1ULL << 20},
    {BYTES_INIT("K"), 1ULL << 10}, {BYTES_INIT(""), 1},
};
enum { TIME_UNITS = sizeof time_units / sizeof time_units[0], SIZE_UNITS = sizeof size_units / sizeof size_units[0] };

static bool number_with_unit(struct bytes word, const struct unit *units, uint32_t count, bool nocase, uint64_t *value)
{
    uint32_t digits = 0;
    while (digits < word.len && ascii_is_digit(word.ptr[digits])) digits++;
    uint64_t number;
    if (!bytes_to_u64(bytes_slice(word, 0, digits), &number)) return false;
    struct bytes unit = bytes_from(word, digits);
    for (uint32_t i = 0; i < count; i++) {
        if (!(nocase ? bytes_equal_nocase(unit, units[i].name) : bytes_equal(unit, units[i].name))) continue;
        return !__builtin_mul_overflow(number, units[i].factor, value);
    }
    return false;
}

static void put_with_unit(struct buf *out, uint64_t value, const struct unit *units, uint32_t count)
{
    uint32_t i = 0;
    while (i + 1 < count && (value == 0 || value % units[i].factor != 0)) i++;
    buf_put_u64(out, value / units[i].factor);
    buf_put(out, units[i].name);
}

bool value_time_ms(struct bytes word, uint64_t *ms)
{
    return number_with_unit(word, time_units, TIME_UNITS, false, ms);
}

bool value_size(struct bytes word, uint64_t *octets)
{
    return number_with_unit(word, size_units, SIZE_UNITS, true, octets);
}

bool value_rate(struct bytes word, uint64_t *a_second)
{
    uint32_t slash = bytes_find(word, '/');
    struct bytes each = bytes_from(word, slash);
    uint64_t number, seconds;
    if (!value_size(bytes_slice(word, 0, slash), &number)) return false;
    if (bytes_equal(each, BYTES("/s"))) seconds = 1;
    else if (bytes_equal(each, BYTES("/m"))) seconds = 60;
    else if (bytes_equal(each, BYTES("/h"))) seconds = 3600;
    else if (bytes_equal(each, BYTES("/d"))) seconds = 86400;
    else return false;
    *a_second = number / seconds + (number % seconds != 0);
    return true;
}

void value_put_time(struct buf *out, uint64_t ms)
{
    put_with_unit(out, ms, time_units, TIME_UNITS);
}

void value_put_size(struct buf *out, uint64_t octets)
{
    put_with_unit(out, octets, size_units, SIZE_UNITS);
}

static bool is_word_octet(uint8_t c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_';
}

bool value_name_valid(struct bytes word)
{
    for (uint32_t i = 0; i < word.len; i++) {
        if (!is_word_octet(word.ptr[i])) return false;
    }
    return word.len > 0 && word.len <= CONFIG_NAME_BYTES_MAX;
}

bool value_path_valid(struct bytes word)
{
    if (word.len == 0 || word.ptr[0] != '/') return false;
    for (uint32_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < ' ' || word.ptr[i] == 0x7f) return false;
    }
    for (struct bytes rest = word; rest.len > 0;) {
        struct bytes part = bytes_slice(rest, 0, bytes_find(rest, '/'));
        if (bytes_equal(part, BYTES(".")) || bytes_equal(part, BYTES(".."))) return false;
        rest = bytes_from(rest, part.len + 1);
    }
    return true;
}

bool value_user_valid(struct bytes word)
{
    if (word.len == 0 || word.len > USER_BYTES_MAX || word.ptr[0] == '-' || word.ptr[0] == '.') return false;
    for (uint32_t i = 0; i < word.len; i++) {
        if (!is_word_octet(word.ptr[i]) && word.ptr[i] != '.') return false;
    }
    return true;
}

bool value_server(struct bytes word, uint16_t default_port, struct net_address *out)
{
    if (net_parse_ip_port(word, out)) return out->port != 0;
    if (!net_parse_ip(word, out)) return false;
    out->port = default_port;
    return true;
}

/* Levenshtein's two rows: row[j] is the distance of a[0..i) and b[0..j). */
uint32_t value_distance(struct bytes a, struct bytes b, uint32_t max)
{
    uint32_t gap = a.len > b.len ? a.len - b.len : b.len - a.len;
    if (a.len > DISTANCE_BYTES_MAX || b.len > DISTANCE_BYTES_MAX || gap > max) return max + 1;
    uint32_t row[DISTANCE_BYTES_MAX + 1];
    for (uint32_t j = 0; j <= b.len; j++) row[j] = j;
    for (uint32_t i = 1; i <= a.len; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= b.len; j++) {
            uint32_t best = diagonal + (ascii_lower(a.ptr[i - 1]) != ascii_lower(b.ptr[j - 1]));
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b.len] <= max ? row[b.len] : max + 1;
}
