/*
 * main - mtad: options, and the way to the master or, for `--role`, to the role of a child.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mta/config/config.h"
#include "mta/master/master.h"

#ifndef BULKHEAD_VERSION
#define BULKHEAD_VERSION "unknown"
#endif

#define CONFIG_FILE_DEFAULT "/etc/mta/mta.conf"

extern const struct role role_manager, role_resolver, role_mailbox, role_connector, role_deliver, role_receiver, role_acceptor, role_control,
    role_keyholder, role_authd, role_tables, role_greylist, role_local;

static const struct role *const roles[] = {
    &role_manager, &role_resolver, &role_mailbox, &role_connector, &role_deliver, &role_receiver, &role_acceptor, &role_control, &role_keyholder, &role_authd,
    &role_tables, &role_greylist, &role_local,
};

static const char help[] =
    "mtad - the Bulkhead mail transfer agent\n"
    "\n"
    "  mtad [-c FILE]            run in the foreground; FILE is " CONFIG_FILE_DEFAULT " when not given\n"
    "  mtad --state DIR          run with the built-in configuration, on loopback, with everything in DIR\n"
    "  mtad --check [-c FILE]    say every problem of the configuration, and end\n"
    "  mtad --version            print the version\n"
    "\n"
    "  --landlock-max N          for tests: use no more of Landlock than its version N (0 = nothing)\n"
    "\n"
    "Signals: SIGTERM and SIGINT finish what is in hand and end; SIGHUP opens the log file again and reads tables again.\n"
    "Exit codes: 0 ended as asked, 1 could not start, 64 wrong options, 78 wrong configuration.\n";

struct options {
    const char *file, *state, *role;
    bool check, version, help, identity;
    struct process_start start;
};

static bool number(const char *text, uint32_t max, uint32_t *out)
{
    uint64_t value;
    if (!bytes_to_u64(bytes_of_cstr(text), &value) || value > max) return false;
    *out = (uint32_t)value;
    return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
    enum { ROLE = 256, INDEX, EPOCH, FOLDERS, UID, GID, CHECK, STATE, VERSION, LANDLOCK, ROUTE, USER, HOME };
    static const struct option names[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, CHECK}, {"state", required_argument, NULL, STATE},
        {"version", no_argument, NULL, VERSION}, {"help", no_argument, NULL, 'h'}, {"role", required_argument, NULL, ROLE},
        {"index", required_argument, NULL, INDEX}, {"epoch", required_argument, NULL, EPOCH}, {"folders", required_argument, NULL, FOLDERS},
        {"uid", required_argument, NULL, UID}, {"gid", required_argument, NULL, GID}, {"landlock-max", required_argument, NULL, LANDLOCK},
        {"route", required_argument, NULL, ROUTE}, {"user", required_argument, NULL, USER}, {"home", required_argument, NULL, HOME},
        {NULL, 0, NULL, 0},
    };
    bool good = true;
    uint32_t index = 0;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", names, NULL)) != -1) {
        switch (option) {
        case 'c': o->file = optarg; break;
        case 'h': o->help = true; break;
        case CHECK: o->check = true; break;
        case STATE: o->state = optarg; break;
        case VERSION: o->version = true; break;
        case ROLE: o->role = optarg; break;
        case INDEX: good &= number(optarg, ROLE_INSTANCES_MAX - 1, &index); break;
        case EPOCH: good &= number(optarg, UINT32_MAX, &o->start.epoch); break;
        case FOLDERS: good &= number(optarg, FOLDERS_MAX, &o->start.folder_count); break;
        case UID: good &= o->start.change_identity = number(optarg, UINT32_MAX, &o->start.uid); break;
        case GID: good &= number(optarg, UINT32_MAX, &o->start.gid); break;
        case LANDLOCK: good &= number(optarg, UINT32_MAX, &o->start.landlock_max); break;
        case ROUTE: good &= number(optarg, UINT16_MAX, &o->start.route); break;
        case USER: o->start.user = optarg; break;
        case HOME: o->start.home = optarg; break;
        default: good = false; break;
        }
    }
    o->start.index = (uint16_t)index;
    return good && optind == argc && !(o->file != NULL && o->state != NULL);
}

/* run_role - the life of a child. _exit(), since what exit() would do may be forbidden to it by now. */
static int run_role(const char *name, const struct process_start *start)
{
    for (uint32_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(name, ipc_role_name(roles[i]->id)) != 0) continue;
        char title[16]; /* what ps and top show; the kernel keeps 15 octets */
        snprintf(title, sizeof(title), "mta-%s", name);
        prctl(PR_SET_NAME, title);
        _exit(process_main(roles[i], start));
    }
    fprintf(stderr, "mtad: there is no role %s\n", name);
    return PROCESS_EXIT_USAGE;
}

static void report(void *context, bool is_error, struct bytes text)
{
    (void)context;
    (void)is_error;
    fprintf(stderr, "%.*s\n", (int)text.len, (const char *)text.ptr);
}

/* state_folder - the absolute path of the folder for --state, made when it is missing. */
static const char *state_folder(const char *given)
{
    static char path[PATH_MAX];
    (void)mkdir(given, 0755); /* when it cannot be made, it cannot be resolved either */
    if (realpath(given, path) != NULL) return path;
    fprintf(stderr, "mtad: cannot use the folder %s: ", given);
    perror(NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    struct options o = {.start.landlock_max = UINT32_MAX};
    if (!parse(argc, argv, &o)) {
        fputs(help, stderr);
        return PROCESS_EXIT_USAGE;
    }
    if (o.role != NULL) return run_role(o.role, &o.start);
    if (o.help || o.version) {
        fputs(o.help ? help : "mtad (Bulkhead) " BULKHEAD_VERSION "\n", stdout);
        return PROCESS_EXIT_OK;
    }
    const char *state = o.state != NULL ? state_folder(o.state) : NULL;
    if (o.state != NULL && state == NULL) return PROCESS_EXIT_FAILED;
    const char *file = o.file != NULL ? o.file : o.state != NULL ? NULL : CONFIG_FILE_DEFAULT;

    struct config_problem_sink sink = {report, NULL};
    struct config_texts *texts;
    int config_fd;
    if (config_load_keeping(file, state, 1, &sink, &config_fd, &texts) != ERR_NONE) return PROCESS_EXIT_CONFIG;
    if (!o.check) return master_run(config_fd, texts, o.start.landlock_max);
    config_texts_free(texts);
    printf("%s: no problems\n", file != NULL ? file : "the built-in configuration");
    return PROCESS_EXIT_OK;
}
