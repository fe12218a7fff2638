/*
 * confine - a role's sandbox: what it asks for, and the order in which the layers go on.
 */
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/config/hop.h"
#include "mta/config/table.h"
#include "mta/process/folders.h"
#include "mta/process/state.h"

enum { DESCRIPTORS_DEFAULT = 1024 };

static int folder_fds[FOLDERS_MAX];

static void add_port(struct process *p, uint16_t port)
{
    for (uint32_t i = 0; i < p->port_count; i++) {
        if (p->ports[i] == port) return;
    }
    if (p->port_count == PORTS_MAX)
        process_fatal(p, PROCESS_EXIT_CONFIG, "too many different ports in routes", BYTES("connector"), ERR_FULL);
    p->ports[p->port_count++] = port;
}

/* add_ports_of_table - those of a transport table as it is at the start: others need a restart. */
static void add_ports_of_table(struct process *p, uint32_t table)
{
    const struct config_entry *e;
    struct hop h;
    for (uint32_t n = 0; (e = table_entry_at(p->config, table, n)) != NULL; n++)
        if (hop_parse(config_bytes(p->config, e->value), &h) && h.port != 0) add_port(p, h.port);
    add_port(p, 25); /* what a value without a port means */
    add_port(p, 24);
}

/* collect_ports - TCP ports that the configuration lets a role connect to. */
static void collect_ports(struct process *p)
{
    const struct config *c = p->config;
    if (p->role->id == ROLE_RESOLVER) {
        add_port(p, 53);
        if (c->resolver.use_stub) add_port(p, c->resolver.stub.port);
    }
    if (p->role->id != ROLE_CONNECTOR) return;
    add_port(p, c->connect.mx_port);
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    for (uint32_t i = 0; i < c->routes.count && routes != NULL; i++) {
        const struct config_relay *relays = CONFIG_ITEMS(c, routes[i].relays, struct config_relay);
        for (uint32_t k = 0; relays && k < routes[i].relays.count; k++) add_port(p, relays[k].port);
        if (routes[i].action == ACTION_LMTP && routes[i].relay_address.family != NET_UNIX) add_port(p, routes[i].relay_port);
        if (routes[i].action == ACTION_TRANSPORT) add_ports_of_table(p, routes[i].transport_table);
    }
}

static uint32_t descriptors_max(const struct role *role)
{
    uint32_t wanted = role->ring.descriptors_max != 0 ? role->ring.descriptors_max : (uint32_t)DESCRIPTORS_DEFAULT;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return DESCRIPTORS_DEFAULT;
    return limit.rlim_max < wanted ? (uint32_t)limit.rlim_max : wanted;
}

void process_request(struct process *p, struct sandbox_request *q)
{
    must(p->start.folder_count <= FOLDERS_MAX);
    for (uint32_t i = 0; i < p->start.folder_count; i++) folder_fds[i] = PROCESS_FOLDER_FD + (int)i;
    collect_ports(p);
    sandbox_request_init(q, p->role->id);
    q->identity = (struct sandbox_identity){p->start.change_identity, p->start.uid, p->start.gid};
    q->root_fd = p->start.change_identity ? PROCESS_ROOT_FD : -1;
    q->writable_fds = folder_fds;
    q->writable_count = p->start.folder_count;
    q->keep_working_folder = p->role->works_in_folder;
    q->connect_ports = p->ports;
    q->connect_ports_count = p->port_count;
    q->has_ring = !p->role->plain_engine && p->config->sandbox.engine != RING_EPOLL;
    q->memory_bytes = p->role->memory_bytes;
    q->descriptors_max = descriptors_max(p->role);
    q->parent_pid = (int32_t)getppid();
    q->landlock_abi_max = p->start.landlock_max;
}

static _Noreturn void refuse(struct process *p, const char *text, const char *what, enum err e)
{
    struct buf *line = log_begin(LOG_LEVEL_FATAL);
    BUF_LIT(line, "fatal: ");
    buf_put_cstr(line, ipc_role_name(p->role->id));
    BUF_LIT(line, ": ");
    buf_put_cstr(line, text);
    BUF_LIT(line, ": ");
    buf_put_cstr(line, what != NULL ? what : err_text(e));
    log_end();
    log_flush();
    _exit(PROCESS_EXIT_FAILED);
}

static void prove(struct process *p, const struct sandbox_request *q)
{
    struct ring_probe ring = {.options = p->ring_options};
    ring.options.engine = ring_engine_of(p->ring);
    struct sandbox_probe probe = {ring_probe_make, ring_probe_enter, ring_probe_try, ring_probe_unmake, &ring};
    const char *what = NULL;
    enum err e = sandbox_selftest(q, p->layers, &probe, &what);
    if (e == ERR_DENIED) refuse(p, "the sandbox does not hold: something forbidden was possible", what, e);
    if (e != ERR_NONE) refuse(p, "the sandbox could not be tested", what, e);
}

/* demand_layers - sandbox { require all }: a kernel that lacks something is refused, by the layers' names. */
static void demand_layers(struct process *p, const struct sandbox_request *q)
{
    uint32_t missing = sandbox_layers_wanted(q) & ~p->layers;
    if (!p->config->sandbox.require_all || missing == 0) return;
    uint8_t memory[256];
    struct buf names = buf_over(memory, sizeof(memory) - 1);
    sandbox_layers_print(&names, missing);
    memory[names.len] = 0;
    refuse(p, "sandbox { require all } is set, and this system lacks", (const char *)memory, ERR_UNSUPPORTED);
}

void process_close_files(struct process *p, const struct sandbox_request *q)
{
    enum err e = sandbox_files(q, &p->layers);
    if (e != ERR_NONE) refuse(p, "cannot close off the file system", NULL, e);
    if (q->root_fd >= 0) close(q->root_fd);
}

void process_lock_down(struct process *p, struct sandbox_request *q)
{
    q->has_ring = ring_engine_of(p->ring) == RING_URING;
    if (p->has_own_folder) folder_fds[q->writable_count++] = p->own_folder_fd;
    if (!p->role->works_in_folder && !p->role->starts_threads) process_close_files(p, q);
    enum err e = ring_confine(p->ring);
    if (e != ERR_NONE) refuse(p, "cannot confine the event loop", NULL, e);
    if (ring_is_restricted(p->ring)) p->layers |= LAYER_RING;
    prove(p, q);
    e = sandbox_calls(q, &p->layers);
    if (e != ERR_NONE) refuse(p, "cannot filter system calls", NULL, e);
    demand_layers(p, q);
}
