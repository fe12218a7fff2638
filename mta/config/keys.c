/*
 * keys - the tables of mta/config/keys.h as arrays.
 */
#include <stddef.h>

#include "mta/config/load.h"

#define OWNER(NAME, keyword, several, owner, sentence) struct owner_##NAME { owner of; };
#define BLOCK_ROW(NAME, keyword, several, owner, sentence) {BYTES_INIT(keyword), several, sizeof(owner), sentence},

/* The owner's type of each block, so that a row can name a field of it. */
CONFIG_BLOCKS(OWNER)

const struct block_row config_blocks[CONFIG_BLOCK_COUNT] = {CONFIG_BLOCKS(BLOCK_ROW)};

/* What a field of each kind is: a row with a field of another size does not compile. */
#define SIZE_OF_TIME_S sizeof(uint64_t)
#define SIZE_OF_TIME_MS sizeof(uint64_t)
#define SIZE_OF_SIZE sizeof(uint64_t)
#define SIZE_OF_SIZE32 sizeof(uint32_t)
#define SIZE_OF_RATE sizeof(uint32_t)
#define SIZE_OF_COUNT sizeof(uint32_t)
#define SIZE_OF_PORT sizeof(uint16_t)
#define SIZE_OF_SWITCH sizeof(bool)
#define SIZE_OF_PATH sizeof(struct config_text)
#define SIZE_OF_HOST sizeof(struct config_text)
#define SIZE_OF_MAILBOX sizeof(struct config_text)
#define SIZE_OF_USER sizeof(struct config_text)
#define SIZE_OF_WORD sizeof(struct config_text)
#define SIZE_OF_SERVER sizeof(struct net_address)
#define CHECK_VALUE(block, key, kind, field, ...) \
    static_assert(sizeof(((struct owner_##block *)0)->of.field) == SIZE_OF_##kind, "the field of " key " has the size of its kind");
#define CHECK_CHOICE(block, key, words, field, ...) \
    static_assert(sizeof(((struct owner_##block *)0)->of.field) == 1, "the field of " key " is one octet");
#define CHECK_NONE(...)
CONFIG_KEYS(CHECK_VALUE, CHECK_CHOICE, CHECK_NONE, CHECK_NONE)

#define VALUE_ROW(block_, key, kind_, field, default_, min_, max_, sentence_) \
    {.block = CONFIG_BLOCK_##block_, .kind = KIND_##kind_, .name = BYTES_INIT(key), .initial = BYTES_INIT(default_), .min = (min_), \
     .max = (max_), .sentence = sentence_, .offset = offsetof(struct owner_##block_, of.field)},
#define CHOICE_ROW(block_, key, words, field, default_, sentence_) \
    {.block = CONFIG_BLOCK_##block_, .kind = KIND_CHOICE, .name = BYTES_INIT(key), .values = BYTES_INIT(words), \
     .initial = BYTES_INIT(default_), .sentence = sentence_, .offset = offsetof(struct owner_##block_, of.field)},
#define SPECIAL_ROW(block_, key, handler, values_, flags_, sentence_) \
    {.block = CONFIG_BLOCK_##block_, .flags = flags_, .name = BYTES_INIT(key), .values = BYTES_INIT(values_), .sentence = sentence_, \
     .read = read_key_##handler, .show = show_key_##handler},
#define LATER_ROW(block_, key) {.block = CONFIG_BLOCK_##block_, .later = true, .name = BYTES_INIT(key)},

const struct key_row config_keys[] = {CONFIG_KEYS(VALUE_ROW, CHOICE_ROW, SPECIAL_ROW, LATER_ROW)};
const uint32_t config_key_count = sizeof config_keys / sizeof config_keys[0];
static_assert(sizeof config_keys / sizeof config_keys[0] <= CONFIG_KEYS_MAX, "parse.c notes each key of a block in an array of this size");
