/*
 * tables
 *
 * Purpose      Answers look-ups that may take their time: regular expressions; the place for tables that live on other machines.
 * Runs as      _mta-tables; one process
 * Inherits     control channel, configuration (with the content of every table), log
 * Talks to     master: CONFIG in      control: TABLE_LOOKUP in, TABLE_FOUND out
 * May do       nothing but think: no file, no socket but its channels
 * Holds        the compiled patterns of the configuration; nothing between two look-ups
 * Exceptions   allocates after lock-down: patterns are compiled again when tables are read again
 * If it dies   who asked gets no answer, and says "not now" to whoever waits; look-ups in other tables need nobody
 * If a peer lies  a key is at most TABLE_KEY_BYTES_MAX octets; a pattern stops at its bound of steps and memory, a look-up after LOOKUP_MS_MAX
 */
#include "base/log.h"
#include "mta/process/dispatch.h"
#include "mta/tables/tables.h"

PROCESS_DISPATCH(tables)

static struct tables *state_of(struct process *p) { return process_state(p); }

void tables_on_table_lookup(struct process *p, struct ipc_channel *from, const struct ipc_table_lookup *m, int fd)
{
    (void)fd;
    uint8_t memory[TABLE_VALUE_BYTES_MAX];
    struct buf value = BUF_OVER(memory);
    struct ipc_table_found answer = {.request = m->request};
    answer.status = (uint8_t)tables_lookup(state_of(p), m->table, m->key, &value, &answer.line);
    if (answer.status == LOOKUP_YES) answer.value = buf_bytes(&value);
    if (ipc_send_table_found(from, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a peer does not take answers: channel full");
}

static enum err setup(struct process *p)
{
    static struct tables state;
    state.process = p;
    process_set_state(p, &state);
    tables_compile(&state, process_config(p));
    return ERR_NONE;
}

static void configured(struct process *p)
{
    tables_compile(state_of(p), process_config(p));
}

const struct role role_tables = {
    .id = ROLE_TABLES,
    .plain_engine = true,
    .setup = setup,
    .configured = configured,
    .message = tables_message,
};
