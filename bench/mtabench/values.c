/*
 * values - see values.h.
 */
#include "bench/mtabench/values.h"

#include "base/hash.h"
#include "base/must.h"
#include "base/sum.h"

enum { NS_PER_US = 1000, US_PER_S = 1000 * 1000, DECIMALS_MAX = 6, MILLIONS = 1000 * 1000 };

/* Splits "12.5ms" into 12500000 (millionths) and "ms". */
static bool take_number(struct bytes text, uint64_t *millionths, struct bytes *unit)
{
    uint32_t at = 0;
    while (at < text.len && ascii_is_digit(text.ptr[at])) at++;
    uint64_t whole, value;
    if (!bytes_to_u64(bytes_slice(text, 0, at), &whole) || !sum_mul_u64(whole, MILLIONS, &value)) return false;
    if (at < text.len && text.ptr[at] == '.') {
        uint64_t scale = MILLIONS;
        uint32_t first = ++at;
        for (; at < text.len && ascii_is_digit(text.ptr[at]); at++) {
            if (at - first == DECIMALS_MAX) return false;
            scale /= 10;
            if (!sum_add_u64(value, (uint64_t)(text.ptr[at] - '0') * scale, &value)) return false;
        }
        if (at == first) return false;
    }
    *millionths = value;
    *unit = bytes_from(text, at);
    return true;
}

struct unit {
    struct bytes name;
    uint64_t factor;
};

static bool find_unit(const struct unit *units, uint32_t count, struct bytes name, uint64_t *factor)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!bytes_equal_nocase(units[i].name, name)) continue;
        *factor = units[i].factor;
        return true;
    }
    return false;
}

/* A number with a unit, as a whole number of the smallest; "1.5k" is 1500, "0.0001k" is refused. */
static bool take_quantity(struct bytes text, const struct unit *units, uint32_t count, uint64_t *out)
{
    uint64_t millionths, factor, value;
    struct bytes unit;
    if (!take_number(text, &millionths, &unit) || !find_unit(units, count, unit, &factor)) return false;
    if (!sum_mul_u64(millionths, factor, &value) || value % MILLIONS != 0) return false;
    *out = value / MILLIONS;
    return true;
}

#define UNIT_COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

bool value_count(struct bytes text, uint64_t least, uint64_t most, uint64_t *out)
{
    static const struct unit units[] = {{BYTES_INIT(""), 1}, {BYTES_INIT("k"), 1000}, {BYTES_INIT("M"), 1000 * 1000}};
    uint64_t value;
    if (!take_quantity(text, units, UNIT_COUNT(units), &value) || value < least || value > most) return false;
    *out = value;
    return true;
}

bool value_size(struct bytes text, uint64_t *out)
{
    static const struct unit units[] = {
        {BYTES_INIT(""), 1},         {BYTES_INIT("k"), 1024},        {BYTES_INIT("KB"), 1024},        {BYTES_INIT("KiB"), 1024},
        {BYTES_INIT("M"), 1 << 20},  {BYTES_INIT("MB"), 1 << 20},    {BYTES_INIT("MiB"), 1 << 20},
        {BYTES_INIT("G"), 1 << 30},  {BYTES_INIT("GB"), 1 << 30},    {BYTES_INIT("GiB"), 1 << 30},
    };
    return take_quantity(text, units, UNIT_COUNT(units), out);
}

bool value_ns(struct bytes text, uint64_t *out)
{
    static const uint64_t s = US_PER_S, year = UINT64_C(366) * 86400 * US_PER_S;
    static const struct unit units[] = {
        {BYTES_INIT(""), s}, {BYTES_INIT("us"), 1}, {BYTES_INIT("ms"), 1000}, {BYTES_INIT("s"), s}, {BYTES_INIT("m"), 60 * s}, {BYTES_INIT("h"), 3600 * s},
    };
    uint64_t us;
    if (!take_quantity(text, units, UNIT_COUNT(units), &us) || us > year) return false;
    *out = us * NS_PER_US;
    return true;
}

bool value_rate(struct bytes text, uint64_t *interval_ns)
{
    static const uint64_t ns_and_millionths = UINT64_C(1000000000) * MILLIONS;
    uint64_t millionths;
    struct bytes unit;
    if (!take_number(text, &millionths, &unit) || (unit.len > 0 && !bytes_equal(unit, BYTES("/s")))) return false;
    if (millionths == 0 || ns_and_millionths / millionths == 0) return false;
    *interval_ns = ns_and_millionths / millionths;
    return true;
}

/* The part of `text` up to a separator; *rest is what follows it. */
static struct bytes take_part(struct bytes *rest, uint8_t separator, bool *more)
{
    uint32_t end = bytes_find(*rest, separator);
    struct bytes part = bytes_slice(*rest, 0, end);
    *more = end < rest->len;
    *rest = bytes_from(*rest, end + 1);
    return part;
}

bool value_size_mix(struct bytes text, uint32_t bytes_min, struct size_mix *out)
{
    struct size_mix mix = {0};
    bool more = true;
    while (more) {
        bool weighed;
        struct bytes weight = take_part(&text, ',', &more);
        struct bytes size = take_part(&weight, ':', &weighed);
        uint64_t bytes, share = 1;
        if (mix.count == VALUES_SIZES_MAX || !value_size(size, &bytes) || bytes < bytes_min || bytes > VALUES_SIZE_MAX) return false;
        if (weighed && !value_count(weight, 1, MILLIONS, &share)) return false;
        mix.parts[mix.count].bytes = (uint32_t)bytes;
        mix.parts[mix.count++].weight = (uint32_t)share;
        mix.total_weight += (uint32_t)share;
    }
    *out = mix;
    return true;
}

uint32_t size_mix_pick(const struct size_mix *mix, uint64_t number)
{
    must(mix->count > 0);
    if (mix->count == 1) return 0;
    uint64_t point = hash_mix(number) % mix->total_weight;
    uint32_t i = 0;
    while (point >= mix->parts[i].weight) point -= mix->parts[i++].weight;
    return i;
}

/* ---- addresses: the last 32 bits count, which is enough for any range that one machine has ---- */

static uint32_t low_bits(const struct net_address *a)
{
    const uint8_t *p = a->ip + (a->family == NET_IPV4 ? 0 : 12);
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static struct net_address with_low_bits(struct net_address a, uint32_t bits)
{
    uint8_t *p = a.ip + (a.family == NET_IPV4 ? 0 : 12);
    for (uint32_t i = 0; i < 4; i++) p[i] = (uint8_t)(bits >> (24 - 8 * i));
    return a;
}

static bool range_of_prefix(struct bytes text, struct address_range *out)
{
    struct net_prefix prefix;
    if (!net_parse_prefix(text, &prefix)) return false;
    uint32_t whole = prefix.address.family == NET_IPV4 ? 32 : 128;
    uint32_t free_bits = whole - prefix.bits < 32 ? whole - prefix.bits : 32;
    uint64_t count = UINT64_C(1) << free_bits;
    bool has_ends = count > 2;
    out->first = has_ends ? with_low_bits(prefix.address, low_bits(&prefix.address) + 1) : prefix.address;
    out->count = has_ends ? count - 2 : count;
    return true;
}

bool value_addresses(struct bytes text, struct address_range *out)
{
    uint32_t dash = bytes_find(text, '-');
    if (dash == text.len) return range_of_prefix(text, out);
    struct net_address first, last;
    if (!net_parse_ip(bytes_slice(text, 0, dash), &first) || !net_parse_ip(bytes_from(text, dash + 1), &last)) return false;
    struct net_address same = with_low_bits(last, low_bits(&first));
    if (!net_same_ip(&same, &first) || low_bits(&last) < low_bits(&first)) return false;
    out->first = first;
    out->count = (uint64_t)low_bits(&last) - low_bits(&first) + 1;
    return true;
}

struct net_address address_in_range(const struct address_range *range, uint64_t n)
{
    must(range->count > 0);
    return with_low_bits(range->first, low_bits(&range->first) + (uint32_t)(n % range->count));
}
