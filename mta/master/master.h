/*
 * master - what the files of the master share. The card is in master.c.
 *
 * The master is the only code that stays root, so it does little: it opens what children may not open, starts them, watches them, stops them. It reads
 * the configuration, child table and children's short messages; never an octet from the network, never mail.
 */
#ifndef MTA_MASTER_MASTER_H
#define MTA_MASTER_MASTER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "mta/config/config.h"
#include "mta/ipc/ipc.h"
#include "mta/process/folders.h"
#include "mta/process/process.h"

enum {
    CHILDREN_MAX = (int)ROLE_COUNT + 2 * (int)ROLE_INSTANCES_MAX,
    LISTENERS_MAX = 256,          /* addresses of all listen blocks; bounded by descriptors */
    UID_BASE_DEFAULT = 61100,     /* uid-base when it is not given and the _mta- users do not exist: free by Debian policy and systemd's ranges */
#ifdef BULKHEAD_PLANTED_FAULT
    PING_EVERY_MS = 500, /* tests hang processes on purpose, and do not wait for half a minute */
    HANG_MS = 2500,
#else
    PING_EVERY_MS = 5000,
    HANG_MS = 30000,              /* a child that does not answer a PING for this long is hung, and is killed */
#endif
    START_MS = 120000,            /* a child that is not READY by then is hung; the manager, who may have a log to read, has no such limit */
    BACK_OFF_FIRST_MS = 1000,     /* the first death is answered at once, the second after this, then twice as long each time */
    BACK_OFF_MOST_MS = 60000,
    STEADY_MS = 10000,            /* who ran for this long since READY has got over what killed it: back-off begins anew */
};

struct account { uint32_t uid, gid; };

struct auth_seen { /* a password file as it was given */
    bool given, complained;
    ino_t inode;
    off_t bytes;
    struct timespec modified;
};

struct listener {
    uint16_t listen_block;        /* index in the configuration */
    struct net_address address;
    int fd;
};

struct child {
    enum ipc_role role;
    uint16_t index;
    uint32_t epoch;               /* of the process that runs or ran last */
    pid_t pid;                    /* 0 = none */
    struct ipc_channel *channel;
    enum role_state state;
    bool was_ready;               /* this process has said READY */
    bool drained;                 /* this process has said DRAINED */
    const char *killed_for;       /* why we killed it; NULL = we did not */
    bool hung;                    /* ... and it was for that */
    uint32_t restarts;
    uint64_t ready_ms, started_ms;
    int64_t started_wall_us;
    uint64_t start_again_ms;      /* ROLE_BACKING_OFF: when */
    uint64_t back_off_ms;         /* what the next death costs */
    uint64_t ping_number, ping_ms;/* the last one, and when */
    bool ping_open;               /* not answered yet */
    uint32_t layers;
    uint8_t engine;
    int box_fd, box_read_fd, grants_fd; /* of a worker's place (box.c) */
    int box_before_fd;            /* what a receiver wrote that crashed, for reading; 0 = none */
    struct ipc_died death;        /* the last one in this place */
    enum { NEWS_NONE = 0, NEWS_TOLD, NEWS_ASKED } news; /* the manager knows of it; was told; was told, and pinged since */
};

struct master {
    const struct config *config, *first_config; /* in use; of the start, into which the log's texts point */
    struct config_texts *texts;   /* of the configuration, for reloads */
    int config_fd;
    uint8_t secrets[SRS_SECRETS_BYTES_MAX]; /* the file of srs { secret } */
    uint32_t secrets_bytes;
    struct {
        uint64_t look_ms;         /* when the files of tables are looked at next, monotonic */
        uint64_t refused;         /* how they looked when they could not be used the last time; 0 = they could */
    } reload;
    bool is_root;
    struct account accounts[ROLE_COUNT];
    int signal_fd, exe_fd, root_fd;
    uint32_t landlock_max;
    int log_fd;
    int control_fd;
    struct listener listeners[LISTENERS_MAX];
    uint32_t listener_count;
    int folders[ROLE_COUNT][FOLDERS_MAX];
    uint32_t folder_counts[ROLE_COUNT];
    struct child children[CHILDREN_MAX];
    uint32_t child_count;
    uint64_t now_ms;
    int64_t started_wall_us;
    bool open;                    /* who takes mail has been READY: clients are let in, and the other children are started */
    int certificates_fd;          /* what receivers have of certificates; -1 = there are none */
    uint32_t certificate_count;
    struct auth_seen auth_seen[CONFIG_AUTHS_MAX]; /* password files that the auth process has */
    uint64_t auth_look_ms;        /* when to look at them again */
    uint64_t keys_generation;     /* in use */
    int certificates_next_fd;     /* of the generation behind it, while the keyholder judges it; -1 = nothing is being judged */
    uint64_t reload_request;      /* control's number for it; 0 = a signal asked */
    bool keys_good;               /* the keyholder has them, or there are none */
    bool ready;                   /* every child has been READY once */
    bool stopping;
    bool at_once;                 /* stopping without drain */
    uint32_t stop_phase;
    uint64_t stop_begun_ms;
    uint64_t stop_until_ms;       /* of all phases together */
    uint64_t phase_until_ms;      /* who is still there then is killed */
    int exit_code;
};

/* master_run - everything behind option parsing; returns the exit code of mtad. texts: what reloads start from, the master's from now on.
 * landlock_max: for every child's sandbox; UINT32_MAX = no limit. */
int master_run(int config_fd, struct config_texts *texts, uint32_t landlock_max);

/* ---- accounts.c: which uid a role has ---- */
/* accounts_find - fill in m->accounts. Returns 0, or the exit code after one line was logged. */
int accounts_find(struct master *m);

/* ---- open.c, listen.c, logfile.c: what children cannot open. Each returns 0, or the exit code after one line was logged. ---- */
int folders_open(struct master *m);
int secrets_read(struct master *m);
int root_open(struct master *m);
int listeners_open(struct master *m);
int sockets_open(struct master *m);
/* sockets_remove - the paths of Unix sockets that this master made. */
void sockets_remove(struct master *m);
/* path_open - a folder by its whole path, as an O_PATH descriptor; what is missing is made, owned by `owner`. -1 and errno. */
int path_open(struct bytes path, const struct account *owner, mode_t mode, bool *made);

/* logfile_open - m->log_fd, and our own lines go there. logfile_reopen - SIGHUP: the file by its name again, for us and for every child. */
int logfile_open(struct master *m);
void logfile_reopen(struct master *m);
enum log_sink logfile_sink(const struct master *m);
/* logfile_say_here - our own lines go to standard error, as a stream whatever the log is; with false to the log again. */
void logfile_say_here(const struct master *m, bool here);
/* logfile_is_elsewhere - whether lines go to a file or syslog, so that standard error must be told some things as well. */
bool logfile_is_elsewhere(const struct master *m);

/* ---- reload.c: tables are read again, all or nothing ---- */
/* reload_now - on SIGHUP (control NULL) or when asked by the control process, who gets RELOADED. */
void reload_now(struct master *m, struct child *control, uint64_t request);
/* reload_due - look whether a file has changed, when that is due. reload_deadline - when it is, monotonic ms. */
void reload_due(struct master *m);
uint64_t reload_deadline(const struct master *m);

/* ---- child.c ---- */
void children_list(struct master *m);
/* child_start - fork, execute, give it channels to its peers. ERR_ on failure; the child stays down. */
must_use enum err child_start(struct master *m, struct child *c);
/*
 * children_start - at the start, those who take mail (`taking`), or the others. A dozen processes share a few CPUs while they start: whoever waits for a
 * greeting waits for the first ones only. False after one line was logged.
 */
bool children_start(struct master *m, bool taking);
/* child_takes - whether it is one of those that mail is taken with: all but those that
 * send it to other hosts, and mtactl's. The mailbox process is one: receivers ask it at RCPT whether a mailbox is there. */
bool child_takes(const struct child *c);
/* child_kill - SIGKILL, with the reason for the line that its death will be. */
void child_kill(struct child *c, const char *why);
struct child *child_find(struct master *m, enum ipc_role role, uint16_t index);
/* child_print - "receiver/0" (or "manager", of which there is one). */
void child_print(struct buf *line, const struct child *c);
/* child_say - "<level>: <child> <text>", one line. */
void child_say(enum log_level level, const struct child *c, const char *text);
/* child_forget - close what belongs to a process that is gone. */
void child_forget(struct child *c);

/* ---- keys.c: certificates and keys, for receivers and keyholder ---- */
/* ---- auth.c ---- */
/* auth_forget - a new auth process has nothing. auth_look - give it password files that have changed, once a second. auth_deadline - when to look. */
void auth_forget(struct master *m);
void auth_look(struct master *m);
uint64_t auth_deadline(const struct master *m);
/* auth_connect - the auth process wants a connection to Dovecot. False when it makes no sense. */
bool auth_connect(struct master *m, const struct ipc_auth_connect *ask);

/* keys_open - read the certificates. Returns 0, or the exit code after one line was logged. */
int keys_open(struct master *m);
/* keys_give - to a process that is being started: the keyholder gets the keys, read anew from their files; a receiver the certificates. */
must_use enum err keys_give(struct master *m, struct child *c);
/* keys_reload - read certificates and keys again: all of them are used from then on, or none. request: control's, 0 for a signal. */
void keys_reload(struct master *m, uint64_t request);
/* keys_read - what the keyholder said of them. False when it makes no sense. */
bool keys_read(struct master *m, const struct ipc_keys_read *k);

/* ---- box.c ---- */
/* boxes_make - the memory files of every worker's place. Returns 0, or the exit code after one line was logged. */
int boxes_make(struct master *m);
/* boxes_give - to a process that is being started: its own, or to the manager all of them. */
must_use enum err boxes_give(struct master *m, struct child *c);

/* boxes_renew - a receiver has crashed: the next one gets clients at once, perhaps before the manager has read what this one left. */
void boxes_renew(struct child *c);

/* ---- news.c: who is told of deaths ---- */
void news_death(struct master *m, struct child *dead, pid_t pid, int status);
/* news_manager_came - it is told what the one before may not have heard. news_manager_asked, news_manager_answered - a PING to it, and its PONG. */
void news_manager_came(struct master *m, struct child *manager);
void news_manager_asked(struct master *m);
void news_manager_answered(struct master *m);

/* ---- watch.c ---- */
/* watch_all_ready - whether everybody has said READY and the keys are good; then work is given out, once. */
void watch_all_ready(struct master *m);
void watch_receive(struct master *m, struct child *c);
void watch_reap(struct master *m);
/* watch_due - pings, hung children, restarts that are due. watch_deadline - when it has to be called at the latest, monotonic ms. */
void watch_due(struct master *m);
uint64_t watch_deadline(const struct master *m);
/* watch_tell_state - ROLE_STATE of one child to the control process. */
void watch_tell_state(struct master *m, const struct child *c);

/* ---- stop.c ---- */
void stop_begin(struct master *m, const char *why);
/* stop_at_once - kill everybody; for a failed start and a second signal. */
void stop_at_once(struct master *m, int exit_code);
/* stop_step - go on to the next phase when this one is over; returns whether everything has ended. */
bool stop_step(struct master *m);
uint64_t stop_deadline(const struct master *m);

/* ---- notify.c: what systemd is told (sd_notify(3)); nothing when it did not ask ---- */
void notify_open(void);
void notify_ready(void);
void notify_stopping(void);
/* notify_alive - WATCHDOG=1 when it is due. notify_deadline - when that is, monotonic ms. */
void notify_alive(uint64_t now_ms);
uint64_t notify_deadline(void);

#endif
