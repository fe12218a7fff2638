/*
 * process - the start of every child: descriptors, identity, setup, lock-down; and what a role may ask.
 *
 * One process has one struct process, static: everything that it needs for its peers is sized from the configuration and taken before lock-down.
 */
#include "mta/process/process.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "mta/process/folders.h"
#include "mta/process/state.h"

static struct process the_process;

/* Part names in log lines, as Postfix has them where it has the part. */
static const char *const log_names[ROLE_COUNT] = {
    [ROLE_MASTER] = "master", [ROLE_MANAGER] = "qmgr", [ROLE_RESOLVER] = "resolver", [ROLE_MAILBOX] = "virtual", [ROLE_CONNECTOR] = "connector",
    [ROLE_DELIVER] = "smtp", [ROLE_RECEIVER] = "smtpd", [ROLE_ACCEPTOR] = "acceptor", [ROLE_CONTROL] = "control", [ROLE_KEYHOLDER] = "keyholder",
    [ROLE_AUTHD] = "authd", [ROLE_TABLES] = "tables", [ROLE_GREYLIST] = "greylist", [ROLE_LOCAL] = "local",
};

const struct config *process_config(const struct process *p) { return p->config; }
struct ring *process_ring(struct process *p) { return p->ring; }
enum ring_engine process_engine(const struct process *p) { return ring_engine_of(p->ring); }
uint16_t process_index(const struct process *p) { return p->start.index; }
uint32_t process_epoch(const struct process *p) { return p->start.epoch; }
uint64_t process_now_ms(const struct process *p) { return p->now_ms; }
int64_t process_now_wall_us(const struct process *p) { return p->now_wall_us; }
bool process_draining(const struct process *p) { return p->draining; }
void process_set_state(struct process *p, void *state) { p->state = state; }
void *process_state(struct process *p) { return p->state; }
void process_wake(struct process *p) { p->wake = true; }

uint16_t process_places(const struct config *c, enum ipc_role role)
{
    uint32_t count = role == ROLE_RECEIVER ? c->workers.receivers + 1 : role == ROLE_DELIVER ? c->workers.delivers + 1 : 1;
    if (role == ROLE_LOCAL) count = PROCESS_LOCAL_MAX;
    if (role == ROLE_KEYHOLDER && c->tls.count == 0) count = 0;
    if (role == ROLE_AUTHD && c->auths.count == 0) count = 0;
    if (role == ROLE_GREYLIST && folder_count(c, role) == 0) count = 0;
    must(count <= ROLE_INSTANCES_MAX);
    return (uint16_t)count;
}

uint16_t process_instances(const struct process *p, enum ipc_role role)
{
    return process_places(p->config, role);
}

struct ipc_channel *process_channel(struct process *p, enum ipc_role role, uint16_t index)
{
    must(role < ROLE_COUNT);
    if (index >= p->role_places[role]) return NULL;
    const struct place *place = &p->places[p->first_place[role] + index];
    return place->broken ? NULL : place->channel;
}

int process_folder(const struct process *p, uint32_t n)
{
    if (n == p->start.folder_count && p->has_own_folder) return p->own_folder_fd;
    return n < p->start.folder_count ? PROCESS_FOLDER_FD + (int)n : -1;
}

const struct process_start *process_start_of(const struct process *p) { return &p->start; }

bool process_add_folder(struct process *p, int fd)
{
    if (p->has_own_folder || p->start.folder_count >= FOLDERS_MAX) return false;
    p->has_own_folder = true;
    p->own_folder_fd = fd;
    return true;
}

_Noreturn void process_fatal(struct process *p, int exit_code, const char *text, struct bytes what, enum err e)
{
    (void)p;
    log_err(LOG_LEVEL_FATAL, text, what, e);
    log_flush();
    _exit(exit_code);
}

static void die(const char *text, enum err e)
{
    process_fatal(&the_process, PROCESS_EXIT_FAILED, text, bytes_of_cstr(ipc_role_name(the_process.role->id)), e);
}

/* ignore_signals - a terminal's Ctrl-C and a service manager's stop reach every process; the master says what follows from them. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
    for (uint32_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) must(signal(ignored[i], SIG_IGN) != SIG_ERR);
}

/*
 * prefer_batches - a process that is given work does not push the giver off its CPU. Otherwise every single record sent wakes a peer that preempts
 * the sender, and nothing ever comes in batches; this halves the CPU time of a message under load. An idle CPU still takes the work at once.
 * Threads started later inherit it. A kernel that says no costs speed only.
 */
static void prefer_batches(void)
{
    const struct sched_param none = {0};
    (void)sched_setscheduler(0, SCHED_BATCH, &none);
}

static void open_log(const struct process *p)
{
    const struct config *c = p->config;
    log_open(PROCESS_LOG_FD, c->log.target == 2 ? LOG_SINK_SYSLOG : LOG_SINK_STREAM, config_bytes(c, c->log.ident), config_bytes(c, c->hostname),
        bytes_of_cstr(log_names[p->role->id]));
    log_set_level((enum log_level)c->log.level);
}

/* make_places - one for the master, and for every process that the table lets this one talk to. */
static void make_places(struct process *p)
{
    p->places[0] = (struct place){.role = ROLE_MASTER};
    p->role_places[ROLE_MASTER] = p->place_count = 1;
    for (enum ipc_role role = ROLE_MASTER + 1; role < ROLE_COUNT; role++) {
        if (!ipc_roles_talk(p->role->id, role)) continue;
        p->first_place[role] = p->place_count;
        p->role_places[role] = process_places(p->config, role);
        for (uint16_t i = 0; i < p->role_places[role]; i++) p->places[p->place_count++] = (struct place){.role = role, .index = i};
    }
    must(p->place_count <= PLACES_MAX);

    if (ipc_reserve(p->place_count) != ERR_NONE) die("no memory for channels", ERR_NO_MEMORY);
    struct ipc_options options = {.self = p->role->id, .peer = ROLE_MASTER, .write_only = p->role->id == ROLE_RECEIVER || p->role->id == ROLE_DELIVER};
    enum err e = ipc_open(&p->places[0].channel, PROCESS_CONTROL_FD, &options);
    if (e != ERR_NONE) die("cannot open the channel to the master", e);
}

static void open_ring(struct process *p, const struct sandbox_request *q)
{
    enum { ENTRIES_DEFAULT = 256 };
    struct ring_options *options = &p->ring_options;
    *options = p->role->ring;
    options->engine = p->role->plain_engine ? RING_EPOLL : (enum ring_engine)p->config->sandbox.engine;
    options->descriptors_max = q->descriptors_max;
    if (options->entries == 0) options->entries = ENTRIES_DEFAULT;
    enum err e = ring_open(&p->ring, options);
    if (e == ERR_UNSUPPORTED) die("io_uring was asked for with sandbox { engine io_uring } and is refused here", e);
    if (e != ERR_NONE) die("cannot make the event loop", e);
}

/* enter_folder - relative paths lead into the queue folder; the empty root leaves the working directory where it is. */
static void enter_folder(const struct process *p)
{
    if (!p->role->works_in_folder) return;
    must(p->start.folder_count > 0);
    if (fchdir(PROCESS_FOLDER_FD) != 0) die("cannot enter its folder", err_from_errno(errno));
}

int process_main(const struct role *role, const struct process_start *start)
{
    struct process *p = &the_process;
    p->role = role;
    p->start = *start;
    p->log_fd = PROCESS_LOG_FD;
    must(role->id > ROLE_MASTER && role->id < ROLE_COUNT && role->message != NULL);

    ignore_signals();
    prefer_batches();
    enum err e = config_map(PROCESS_CONFIG_FD, &p->config);
    if (e != ERR_NONE) die("the configuration image is unusable", e); /* to standard error: there is no log yet */
    p->first_config = p->config;
    open_log(p);
    p->now_ms = clock_mono_ms();
    p->now_wall_us = clock_wall_us();

    struct sandbox_request q;
    process_request(p, &q);
    e = sandbox_identity(&q, &p->layers);
    if (e != ERR_NONE) die("cannot become its own user and drop rights", e);
    enter_folder(p);
    make_places(p);
    open_ring(p, &q);
    /* Landlock reaches only threads that start later: a role with a folder (manager) has all it needs in there, and may start threads in setup. */
    if (role->works_in_folder || role->starts_threads) process_close_files(p, &q);
    e = role->setup != NULL ? role->setup(p) : ERR_NONE;
    log_flush();
    if (e != ERR_NONE) return PROCESS_EXIT_FAILED; /* setup has said why */

    process_lock_down(p, &q);
    return process_loop(p);
}
