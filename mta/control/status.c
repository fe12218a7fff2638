/*
 * status - the processes as the master tells of them, and the part of `mtactl status` that this process knows by itself.
 */
#include <assert.h>
#include <stddef.h>

#include "base/json.h"
#include "mta/control/control.h"

#ifndef BULKHEAD_VERSION
#define BULKHEAD_VERSION "unknown"
#endif

enum { LAYER_NAMES_BYTES = 256 };

void status_note(struct control *c, const struct ipc_role_state *m)
{
    if (m->role >= ROLE_COUNT || m->index >= ROLE_INSTANCES_MAX) return;
    c->roles[m->role * (uint32_t)ROLE_INSTANCES_MAX + m->index] = *m;
}

static bool is_known(const struct ipc_role_state *r) { return r->started_wall_us != 0; }

bool status_all_running(const struct control *c)
{
    for (uint32_t i = 0; i < ROLE_PLACES_MAX; i++)
        if (is_known(&c->roles[i]) && c->roles[i].state != ROLE_RUNNING) return false;
    return true;
}

static const char *state_word(uint8_t state)
{
    static const char *const words[] = {"starting", "running", "draining", "backing-off", "stopped"};
    static_assert(sizeof words / sizeof *words == ROLE_STOPPED + 1, "a word for each state");
    return state <= ROLE_STOPPED ? words[state] : "unknown";
}

static void put_layers(struct buf *out, const char *key, uint32_t layers)
{
    uint8_t memory[LAYER_NAMES_BYTES];
    struct buf names = BUF_OVER(memory);
    if (layers) sandbox_layers_print(&names, layers);
    json_open(out, key, '[');
    for (struct bytes rest = buf_bytes(&names); rest.len;) {
        struct bytes word = bytes_slice(rest, 0, bytes_find(rest, ','));
        json_text(out, NULL, word);
        rest = bytes_from(rest, word.len + 1);
    }
    json_close(out, ']');
}

static void put_role(struct buf *out, const struct ipc_role_state *r)
{
    json_open(out, NULL, '{');
    json_cstr(out, "role", ipc_role_name((enum ipc_role)r->role));
    json_u64(out, "index", r->index);
    json_u64(out, "pid", r->pid);
    json_u64(out, "restarts", r->restarts);
    json_cstr(out, "state", state_word(r->state));
    json_i64(out, "started", r->started_wall_us / 1000000);
    json_cstr(out, "engine", r->engine ? ring_engine_name((enum ring_engine)r->engine) : "");
    put_layers(out, "layers", r->layers);
    json_close(out, '}');
}

/* common_layers - those that every process but the master has, which makes the others; the restricted ring counts where there is a ring at all. */
static uint32_t common_layers(const struct control *c)
{
    uint32_t all = UINT32_MAX;
    bool any = false, any_ring = false;
    for (uint32_t i = 0; i < ROLE_PLACES_MAX; i++) {
        const struct ipc_role_state *r = &c->roles[i];
        if (!is_known(r) || r->role == ROLE_MASTER || r->state != ROLE_RUNNING) continue;
        any = true;
        any_ring |= r->engine == RING_URING;
        all &= r->engine == RING_URING ? r->layers : r->layers | (uint32_t)LAYER_RING;
    }
    if (!any) return 0;
    return any_ring ? all : all & ~(uint32_t)LAYER_RING;
}

/* put_open - what the missing layers leave open. */
static void put_open(struct buf *out, uint32_t layers)
{
    json_open(out, "open", '[');
    for (uint32_t i = 0; i < SANDBOX_LAYERS; i++) {
        uint32_t bit;
        const char *open = sandbox_layer_open(i, &bit);
        if (open != NULL && !(layers & bit)) json_cstr(out, NULL, open);
    }
    json_close(out, ']');
}

void status_begin(const struct control *c, struct buf *out)
{
    const struct ipc_role_state *receiver = &c->roles[ROLE_RECEIVER * (uint32_t)ROLE_INSTANCES_MAX];
    json_open(out, NULL, '{');
    json_cstr(out, "version", BULKHEAD_VERSION);
    json_text(out, "hostname", config_bytes(c->config, c->config->hostname));
    json_text(out, "config_file", config_bytes(c->config, c->config->file));
    json_u64(out, "config_generation", c->config->generation);
    json_bool(out, "healthy", status_all_running(c));
    json_cstr(out, "engine", receiver->engine ? ring_engine_name((enum ring_engine)receiver->engine) : "unknown");
    json_open(out, "sandbox", '{');
    put_layers(out, "layers", common_layers(c));
    put_open(out, common_layers(c));
    json_close(out, '}');
    json_open(out, "roles", '[');
    for (uint32_t i = 0; i < ROLE_PLACES_MAX; i++)
        if (is_known(&c->roles[i])) put_role(out, &c->roles[i]);
    json_close(out, ']');
}
