/*
 * config_fuzz - any octets as a configuration: refused with a reason, or an image that can be asked, shown, and read back unchanged.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/must.h"
#include "mta/config/load.h"

enum { SHOWN_BYTES_MAX = 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_error(void *context, bool is_error, struct bytes text)
{
    must(text.len > 0);
    if (is_error) ++*(uint32_t *)context;
}

static void ask(const struct config *c)
{
    struct net_address client = {NET_IPV4, {127, 0, 0, 1}, 1};
    struct route_question q = {BYTES("Ann@example.org"), BYTES("bob@example.com"), &client, false, false, false};
    int32_t route;
    bool admitted = route_admits_stranger(c, &q, &route);
    must(route >= -1 && route < (int64_t)c->routes.count);
    must(!admitted || route >= 0);
    const struct config_listener *listeners = CONFIG_ITEMS(c, c->listeners, struct config_listener);
    for (uint32_t i = 0; listeners && i < c->listeners.count; i++) (void)config_trusts(c, &listeners[i], &client);
}

static void show(struct bytes image, struct buf *out)
{
    config_show((const struct config *)(const void *)image.ptr, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first_memory[SHOWN_BYTES_MAX], second_memory[SHOWN_BYTES_MAX];
    struct buf first = BUF_OVER(first_memory), second = BUF_OVER(second_memory);
    uint32_t errors = 0;
    struct config_problem_sink sink = {count_error, &errors};
    struct bytes image, again;
    if (size > GRAMMAR_TEXT_BYTES_MAX) return 0;
    enum err e = config_load_text(bytes_of(data, (uint32_t)size), "fuzz", 1, &sink, &image);
    must((e == ERR_NONE) == (errors == 0));
    if (e != ERR_NONE) return 0;
    ask((const struct config *)(const void *)image.ptr);
    show(image, &first);
    if (!first.overflow) {
        must(config_load_text(buf_bytes(&first), "fuzz", 1, &sink, &again) == ERR_NONE);
        show(again, &second);
        must(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
        free((void *)(uintptr_t)again.ptr);
    }
    free((void *)(uintptr_t)image.ptr);
    return 0;
}
