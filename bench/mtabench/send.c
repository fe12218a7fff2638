/*
 * send - the loop, the times and what is to be sent; see send.h.
 */
#include "bench/mtabench/send.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "bench/mtabench/tool.h"

enum {
    BUFFERS = 512,
    BUFFER_BYTES = 4096, /* answers are short */
    NS_PER_S = 1000 * 1000 * 1000,
    WAITING_FIRST = 64,
    LINGER_S = 10, /* at the end, for answers and for QUIT */
};

/* ---- what is to be sent ---- */

static uint64_t ended(const struct send *k)
{
    return k->counts.acknowledged + k->counts.later + k->counts.never + k->counts.unanswered;
}

/* How many messages may begin now. */
static uint64_t work(const struct send *k)
{
    const struct send_options *o = k->options;
    if (k->over) return 0;
    uint64_t due = o->interval_ns ? (k->now_ns - k->began_ns) / o->interval_ns + 1 : UINT64_MAX;
    if (o->messages_max && due > o->messages_max) due = o->messages_max;
    uint64_t fresh = due > k->taken ? due - k->taken : 0;
    bool again = k->waiting_count > 0 && k->waiting[k->waiting_first].not_before_ns <= k->now_ns;
    return fresh < UINT64_MAX && again ? fresh + 1 : fresh;
}

static void begin(struct send *k, struct send_message *m, uint64_t number, uint64_t due_ns)
{
    const struct size_mix *sizes = &k->options->sizes;
    *m = (struct send_message){.active = true, .number = number, .due_ns = due_ns, .bytes = sizes->parts[size_mix_pick(sizes, number)].bytes};
}

bool send_take(struct send *k, struct send_message *m)
{
    if (work(k) == 0) return false;
    const struct send_waiting *first = k->waiting_count > 0 ? &k->waiting[k->waiting_first] : NULL;
    if (first && first->not_before_ns <= k->now_ns) {
        begin(k, m, first->number, first->due_ns);
        k->waiting_first = (k->waiting_first + 1) % k->waiting_cap;
        k->waiting_count--;
        return true;
    }
    uint64_t number = ++k->taken;
    k->counts.begun++;
    begin(k, m, number, k->options->interval_ns ? k->began_ns + (number - 1) * k->options->interval_ns : k->now_ns);
    return true;
}

static bool make_waiting_room(struct send *k)
{
    if (k->waiting_count < k->waiting_cap) return true;
    uint64_t cap = k->waiting_cap ? 2 * k->waiting_cap : WAITING_FIRST;
    struct send_waiting *wider = reallocarray(NULL, cap, sizeof *wider);
    if (!wider) return false;
    for (uint64_t i = 0; i < k->waiting_count; i++) wider[i] = k->waiting[(k->waiting_first + i) % k->waiting_cap];
    free(k->waiting);
    k->waiting = wider;
    k->waiting_cap = cap;
    k->waiting_first = 0;
    return true;
}

/* Those to be sent at once go before those that have to wait. */
static void send_again(struct send *k, const struct send_message *m, uint64_t wait_ns)
{
    if (!make_waiting_room(k)) {
        k->fatal = "out of memory";
        return;
    }
    struct send_waiting one = {.number = m->number, .due_ns = m->due_ns, .not_before_ns = k->now_ns + wait_ns};
    uint64_t at = k->waiting_first + k->waiting_count;
    if (wait_ns == 0) at = k->waiting_first = (k->waiting_first + k->waiting_cap - 1) % k->waiting_cap;
    k->waiting[at % k->waiting_cap] = one;
    k->waiting_count++;
}

void send_give_back(struct send *k, const struct send_message *m)
{
    send_again(k, m, 0);
}

void send_end(struct send *k, const struct send_message *m, uint16_t code)
{
    struct send_counts *c = &k->counts;
    bool good = code / 100 == 2;
    if (!good && code / 100 != 5 && k->options->resend && !k->over) {
        c->resent++;
        return send_again(k, m, k->options->resend_ns);
    }
    k->last_end_ns = k->now_ns;
    if (code != 0) histogram_add(&k->latency[PHASE_MESSAGE], (k->now_ns - m->due_ns) / 1000);
    c->acknowledged += good;
    c->unanswered += code == 0;
    c->never += code / 100 == 5;
    c->later += !good && code != 0 && code / 100 != 5;
    if (!good) return;
    c->recipients += m->accepted;
    c->refused_recipients += k->options->recipients - m->accepted;
    c->bytes += m->bytes;
    if (k->options->ledger && ledger_add(&k->ledger, k->options->run, m->number, m->accepted) != ERR_NONE) k->fatal = "no memory for the ledger";
}

/* ---- who sends it ---- */

/* Gives work to sessions that wait; connects others when these are too few. */
static void wake(struct send *k)
{
    uint64_t todo = work(k);
    while (todo > 0 && k->ready_count > 0) {
        struct send_session *s = &k->sessions[k->ready_list[--k->ready_count]];
        s->in_ready_list = false;
        if (s->fd < 0 || s->shut || !s->ready) continue;
        send_session_go(k, s);
        todo--;
    }
    while (todo > k->starting_count && k->closed_count > 0 && !k->fatal) {
        send_session_connect(k, &k->sessions[k->closed_list[--k->closed_count]]);
    }
}

static void run_timers(struct send *k)
{
    struct heap_node *first;
    while ((first = heap_first(&k->timers)) && first->key <= k->now_ns) {
        heap_remove(&k->timers, first);
        struct send_session *s = (struct send_session *)(void *)((uint8_t *)first - offsetof(struct send_session, timer));
        if (!s->idle) k->closed_list[k->closed_count++] = s->index;
        else if (!k->over) send_session_connect(k, s);
    }
}

static void end_late(struct send *k)
{
    for (uint32_t i = 0; i < k->session_count; i++) {
        struct send_session *s = &k->sessions[i];
        bool waits = s->fd >= 0 && !s->shut && !s->ready;
        if (waits && s->heard_ns + k->options->timeout_ns < k->now_ns) send_session_late(k, s);
    }
}

/* No new message begins any more. */
static void set_over(struct send *k)
{
    if (k->over) return;
    k->over = true;
    for (uint32_t i = 0; i < k->session_count; i++) send_session_go(k, &k->sessions[i]);
}

static void look_for_end(struct send *k)
{
    const struct send_options *o = k->options;
    bool all = o->messages_max && ended(k) >= o->messages_max;
    bool late = o->run_ns && k->now_ns - k->began_ns >= o->run_ns;
    if (!k->fatal && !all && !late && k->now_ns - k->last_end_ns > o->give_up_ns) k->fatal = "no message has come to an end for a long time (--give-up)";
    if (all || late || tool_stop || k->fatal) set_over(k);
}

static void on_event(void *context, const struct wire_event *e)
{
    send_session_event(context, e);
}

static void tick(struct send *k, uint64_t *acknowledged, uint64_t span_ns)
{
    if (!k->options->quiet) send_progress(k, *acknowledged, span_ns);
    *acknowledged = k->counts.acknowledged;
    end_late(k);
}

/* When to look again though nothing happens. What is due already waits for a session, and that is an event. */
static uint64_t next_due(const struct send *k, uint64_t tick_ns)
{
    const struct heap_node *first = heap_first(&k->timers);
    uint64_t due = first && first->key < tick_ns ? first->key : tick_ns;
    if (k->over) return due;
    if (k->options->interval_ns && (k->ready_count > 0 || k->closed_count > 0)) {
        uint64_t fresh = k->began_ns + k->taken * k->options->interval_ns;
        bool more = !k->options->messages_max || k->taken < k->options->messages_max;
        if (more && fresh > k->now_ns && fresh < due) due = fresh;
    }
    uint64_t again = k->waiting_count > 0 ? k->waiting[k->waiting_first].not_before_ns : 0;
    if (again > k->now_ns && again < due) due = again;
    uint64_t end = k->options->run_ns ? k->began_ns + k->options->run_ns : UINT64_MAX;
    return end < due ? end : due;
}

static void loop(struct send *k)
{
    k->began_ns = k->last_end_ns = k->now_ns = tool_now_ns();
    uint64_t tick_ns = k->began_ns + NS_PER_S, acknowledged = 0, over_ns = 0;
    for (uint32_t i = (uint32_t)k->options->sessions; i < k->session_count && !k->fatal; i++) send_session_connect(k, &k->sessions[i]);
    while (!k->over || k->open_count > 0) {
        wake(k);
        uint64_t due = next_due(k, tick_ns);
        wire_wait(&k->wire, due > k->now_ns ? due - k->now_ns : 1);
        k->now_ns = tool_now_ns();
        wire_reap(&k->wire, on_event, k);
        run_timers(k);
        look_for_end(k);
        if (k->now_ns >= tick_ns) {
            tick(k, &acknowledged, k->now_ns - tick_ns + NS_PER_S);
            tick_ns = k->now_ns + NS_PER_S;
        }
        if (k->over && over_ns == 0) over_ns = k->now_ns;
        if (k->fatal || (k->over && k->now_ns - over_ns > UINT64_C(1000000000) * LINGER_S)) break;
    }
}

/* ---- start and end ---- */

static bool make_sessions(struct send *k)
{
    const struct send_options *o = k->options;
    uint32_t commands_bytes = send_session_commands_bytes(o);
    k->session_count = (uint32_t)(o->sessions + o->idle_sessions);
    k->sessions = calloc(k->session_count, sizeof *k->sessions);
    k->ready_list = calloc(k->session_count, sizeof *k->ready_list);
    k->closed_list = calloc(k->session_count, sizeof *k->closed_list);
    if (!k->sessions || !k->ready_list || !k->closed_list || heap_init(&k->timers, 0) != ERR_NONE) return false;
    for (uint32_t i = 0; i < k->session_count; i++) {
        struct send_session *s = &k->sessions[i];
        s->fd = -1;
        s->index = i;
        s->idle = i >= o->sessions;
        uint32_t cap = s->idle ? send_session_commands_bytes(&(struct send_options){0}) : commands_bytes;
        s->commands = buf_over(malloc(cap), cap);
        if (!s->commands.ptr) return false;
        if (!s->idle) k->closed_list[k->closed_count++] = (uint32_t)o->sessions - 1 - i;
    }
    return true;
}

static uint32_t largest(const struct size_mix *sizes)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < sizes->count; i++) most = sizes->parts[i].bytes > most ? sizes->parts[i].bytes : most;
    return most;
}

static bool start(struct send *k)
{
    const struct send_options *o = k->options;
    if (!tool_descriptors(o->sessions + o->idle_sessions + 64)) return false;
    ledger_init(&k->ledger);
    if (!make_sessions(k) || text_init(&k->text, o->run, largest(&o->sizes), clock_wall_us() / 1000000) != ERR_NONE) {
        tool_complain("out of memory", NULL);
        return false;
    }
    int refused = wire_open(&k->wire, BUFFERS, BUFFER_BYTES);
    if (refused) tool_complain(wire_refusal(refused), NULL);
    return refused == 0;
}

static void finish(struct send *k)
{
    for (uint32_t i = 0; k->sessions && i < k->session_count; i++) free(k->sessions[i].commands.ptr);
    heap_fini(&k->timers);
    text_fini(&k->text);
    ledger_fini(&k->ledger);
    free(k->waiting);
    free(k->closed_list);
    free(k->ready_list);
    free(k->sessions);
}

int send_run(const struct send_options *o)
{
    struct send *k = calloc(1, sizeof *k);
    if (!k) return tool_complain("out of memory", NULL), TOOL_NEGATIVE;
    k->options = o;
    tool_signals();
    int result = TOOL_NEGATIVE;
    if (start(k)) {
        loop(k);
        if (k->fatal) tool_complain(k->fatal, NULL);
        for (uint32_t i = 0; i < k->session_count; i++) send_session_end(k, &k->sessions[i]); /* what has no answer is unanswered */
        if (o->json) send_json(k);
        else send_table(k);
        bool saved = !o->ledger || tool_save_ledger(&k->ledger, o->ledger);
        bool all = !o->messages_max || k->counts.acknowledged == o->messages_max;
        result = saved && all && !k->fatal ? TOOL_OK : TOOL_NEGATIVE;
        wire_close(&k->wire);
    }
    finish(k);
    free(k);
    return result;
}
