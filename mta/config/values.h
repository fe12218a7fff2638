/*
 * values - single words of the configuration: numbers with units, names, addresses. Pure; reports nothing.
 */
#ifndef MTA_CONFIG_VALUES_H
#define MTA_CONFIG_VALUES_H

#include "base/bytes.h"
#include "base/net.h"

/* value_time_ms - "30s", "5m", "4h", "2d", "1w", "250ms": a number and a unit, no sign, no fraction. */
bool value_time_ms(struct bytes word, uint64_t *ms);

/* value_size - "50M": octets, or with K, M, G, T (either case) 1024 octets and so on. */
bool value_size(struct bytes word, uint64_t *octets);

/* value_rate - "40/s", "10K/s", "600/m": how many a second, rounded up. */
bool value_rate(struct bytes word, uint64_t *a_second);

/* value_put_time / value_put_size - append in the largest unit without remainder; what the parsers above read back. */
void value_put_time(struct buf *out, uint64_t ms);
void value_put_size(struct buf *out, uint64_t octets);

/* value_name_valid - a name that a file may declare: letters, digits, '-', '_'; 1..CONFIG_NAME_BYTES_MAX octets. No dot, so that no
 * table can be taken for a domain. */
bool value_name_valid(struct bytes word);

/* value_path_valid - absolute, no "." or ".." as a part, printable. */
bool value_path_valid(struct bytes word);

/* value_user_valid - what useradd(8) takes: letters, digits, "-_.", not beginning with '-' or '.'; at most 32 octets. */
bool value_user_valid(struct bytes word);

/* value_server - an address with port, or without (then default_port). */
bool value_server(struct bytes word, uint16_t default_port, struct net_address *out);

/* value_distance - edit distance of two words, at most `max`; max + 1 when they are farther apart or too long to compare. */
uint32_t value_distance(struct bytes a, struct bytes b, uint32_t max);

#endif
