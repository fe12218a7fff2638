/*
 * send_options - the command line of `mtabench send`, and the patterns in its addresses.
 */
#include <getopt.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/must.h"
#include "bench/mtabench/send.h"
#include "bench/mtabench/tool.h"

enum { SESSIONS_MAX = 1000 * 1000, RECIPIENTS_MAX = 100 * 1000, PORT_DEFAULT = 25 };

static const uint64_t timeout_default_ns = UINT64_C(300) * 1000000000, give_up_default_ns = UINT64_C(600) * 1000000000;

static const char help[] =
    "mtabench send [OPTIONS] SERVER[:PORT]... - send mail and measure\n\n"
    "  --messages N, --seconds T   how many, or how long; one of them is needed\n"
    "  --sessions N                connections at once (10)\n"
    "  --rate N                    open loop: N messages a second are due, and latency counts from then; else the next follows the last answer\n"
    "  --per-connection N          messages a connection (as many as there are)\n"
    "  --pipelining off|flight|full  a command at a time; MAIL, RCPT, DATA together; these together with the end of the message before (full)\n"
    "  --size MIX                  octets a message: 4k, or a mix with weights: 1k:70,4k:20,1M:10 (4k)\n"
    "  --recipients N              a message (1)\n"
    "  --to PATTERN                a recipient's address; {n} counts recipients, {r} those of one message; may be given again: they take turns\n"
    "  --cycle N                   {n} counts from 0 to N-1 and begins again\n"
    "  --from PATTERN, --helo NAME sender, with {n} for the message's number; name of the client\n"
    "  --source ADDRESSES          client addresses, for the sessions in turn: 127.1.0.0/16 or 127.0.0.5-127.0.0.9\n"
    "  --idle N                    so many connections more that only say EHLO and stay\n"
    "  --resend T                  what was refused for now or never answered is sent again after T, with the same id\n"
    "  --ledger FILE               write which messages were acknowledged\n"
    "  --run NAME                  letters and digits that begin each id (random)\n"
    "  --timeout T, --give-up T    wait so long for an answer (300s); end when no message has ended for so long (600s)\n"
    "  --json, --quiet             the result as JSON; no progress line\n";

enum {
    MESSAGES = 1, SECONDS, SESSIONS, RATE, PER_CONNECTION, PIPELINING, SIZE, RECIPIENTS, TO, CYCLE, FROM, HELO, SOURCE, IDLE, RESEND, LEDGER, RUN, TIMEOUT,
    GIVE_UP, JSON, QUIET, STARTTLS, HELP,
};

static const struct option options[] = {
    {"messages", required_argument, NULL, MESSAGES},     {"seconds", required_argument, NULL, SECONDS}, {"sessions", required_argument, NULL, SESSIONS},
    {"rate", required_argument, NULL, RATE},             {"per-connection", required_argument, NULL, PER_CONNECTION},
    {"pipelining", required_argument, NULL, PIPELINING}, {"size", required_argument, NULL, SIZE},       {"recipients", required_argument, NULL, RECIPIENTS},
    {"to", required_argument, NULL, TO},                 {"cycle", required_argument, NULL, CYCLE},     {"from", required_argument, NULL, FROM},
    {"helo", required_argument, NULL, HELO},             {"source", required_argument, NULL, SOURCE},   {"idle", required_argument, NULL, IDLE},
    {"resend", required_argument, NULL, RESEND},         {"ledger", required_argument, NULL, LEDGER},   {"run", required_argument, NULL, RUN},
    {"timeout", required_argument, NULL, TIMEOUT},       {"give-up", required_argument, NULL, GIVE_UP}, {"json", no_argument, NULL, JSON},
    {"quiet", no_argument, NULL, QUIET},                 {"starttls", no_argument, NULL, STARTTLS},     {"help", no_argument, NULL, HELP},
    {0},
};

bool send_pattern_valid(struct bytes pattern)
{
    if (pattern.len > SEND_PATTERN_BYTES_MAX) return false;
    for (uint32_t i = 0; i < pattern.len; i++) {
        uint8_t c = pattern.ptr[i];
        if (c <= ' ' || c == 127 || c == '<' || c == '>') return false;
    }
    return true;
}

void send_pattern(struct buf *out, struct bytes pattern, uint64_t n, uint64_t r)
{
    uint32_t brace = bytes_find(pattern, '{');
    while (brace < pattern.len) {
        struct bytes rest = bytes_from(pattern, brace);
        bool is_n = bytes_starts(rest, BYTES("{n}")), is_r = bytes_starts(rest, BYTES("{r}"));
        uint32_t eaten = is_n || is_r ? 3 : 1;
        buf_put(out, bytes_slice(pattern, 0, brace));
        if (eaten == 3) buf_put_u64(out, is_n ? n : r);
        else buf_put_c(out, '{');
        pattern = bytes_from(rest, eaten);
        brace = bytes_find(pattern, '{');
    }
    buf_put(out, pattern);
}

static bool set_pipelining(struct send_options *o, const char *value)
{
    static const char *const names[] = {[SEND_LOCKSTEP] = "off", [SEND_FLIGHT] = "flight", [SEND_FULL] = "full"};
    for (uint8_t i = 0; i <= SEND_FULL; i++) {
        if (strcmp(value, names[i]) != 0) continue;
        o->pipelining = i;
        return true;
    }
    return false;
}

static bool add_pattern(struct send_options *o, struct bytes text)
{
    if (o->to_count == SEND_PATTERNS_MAX || text.len == 0 || !send_pattern_valid(text)) return false;
    o->to[o->to_count++] = text;
    return true;
}

static bool set_flag(bool *flag)
{
    *flag = true;
    return true;
}

static bool set_option(int which, const char *value, struct send_options *o)
{
    struct bytes text = value ? bytes_of_cstr(value) : bytes_of(NULL, 0);
    switch (which) {
    case MESSAGES: return value_count(text, 1, VALUES_COUNT_MAX, &o->messages_max);
    case SECONDS: return value_ns(text, &o->run_ns) && o->run_ns > 0;
    case SESSIONS: return value_count(text, 1, SESSIONS_MAX, &o->sessions);
    case RATE: return value_rate(text, &o->interval_ns);
    case PER_CONNECTION: return value_count(text, 1, VALUES_COUNT_MAX, &o->per_connection);
    case PIPELINING: return set_pipelining(o, value);
    case SIZE: return value_size_mix(text, TEXT_BYTES_MIN, &o->sizes);
    case RECIPIENTS: return value_count(text, 1, RECIPIENTS_MAX, &o->recipients);
    case TO: return add_pattern(o, text);
    case CYCLE: return value_count(text, 1, VALUES_COUNT_MAX, &o->cycle);
    case FROM: o->from = text; return send_pattern_valid(text);
    case HELO: o->helo = text; return text.len > 0 && send_pattern_valid(text);
    case SOURCE: return o->has_source = value_addresses(text, &o->source);
    case IDLE: return value_count(text, 0, SESSIONS_MAX, &o->idle_sessions);
    case RESEND: return o->resend = value_ns(text, &o->resend_ns);
    case LEDGER: o->ledger = value; return text.len > 0;
    case RUN: o->run = text; return ident_run_valid(text);
    case TIMEOUT: return value_ns(text, &o->timeout_ns) && o->timeout_ns > 0;
    case GIVE_UP: return value_ns(text, &o->give_up_ns) && o->give_up_ns > 0;
    case JSON: return set_flag(&o->json);
    default: return set_flag(&o->quiet);
    }
}

/* A name that is no address is looked up, as any program does it: this is a tool, and nothing is measured yet. */
static bool look_up(struct bytes host, uint16_t port, struct net_address *out)
{
    char name[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (host.len == 0 || host.len >= sizeof name) return false;
    memcpy(name, host.ptr, host.len);
    name[host.len] = 0;
    if (getaddrinfo(name, NULL, &hints, &found) != 0) return false;
    struct sockaddr_storage address = {0};
    memcpy(&address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    bool good = net_from_sockaddr(&address, out);
    out->port = port;
    return good;
}

static bool add_target(struct send_options *o, const char *word)
{
    struct bytes text = bytes_of_cstr(word);
    struct net_address *a = &o->targets[o->target_count];
    uint64_t port = PORT_DEFAULT;
    if (o->target_count == SEND_TARGETS_MAX) return false;
    bool good = net_parse_ip_port(text, a);
    if (!good && net_parse_ip(text, a)) {
        a->port = PORT_DEFAULT;
        good = true;
    }
    if (!good) {
        uint32_t colon = bytes_find(text, ':');
        if (colon < text.len && !value_count(bytes_from(text, colon + 1), 1, UINT16_MAX, &port)) return false;
        good = look_up(bytes_slice(text, 0, colon), (uint16_t)port, a);
    }
    o->target_count += good;
    return good;
}

static struct bytes random_run(void)
{
    static uint8_t memory[8];
    struct buf text = BUF_OVER(memory);
    buf_put_hex(&text, hash_key_random().a, sizeof memory);
    return buf_bytes(&text);
}

static void set_defaults(struct send_options *o)
{
    o->sessions = 10;
    o->recipients = 1;
    o->pipelining = SEND_FULL;
    o->timeout_ns = timeout_default_ns;
    o->give_up_ns = give_up_default_ns;
    o->from = BYTES("source@from.example");
    o->helo = BYTES("client.mtabench.invalid");
    must(value_size_mix(BYTES("4k"), TEXT_BYTES_MIN, &o->sizes));
}

int send_parse(int argc, char **argv, struct send_options *o)
{
    int which, index = 0;
    set_defaults(o);
    while ((which = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (which == HELP) return fputs(help, stdout), -1;
        if (which == STARTTLS) return tool_usage("--starttls: this mtabench was built without TLS", NULL);
        if (which == '?') return TOOL_USAGE;
        if (!set_option(which, optarg, o)) return tool_usage_value(options[index].name, optarg);
    }
    for (int i = optind; i < argc; i++) {
        if (!add_target(o, argv[i])) return tool_usage("not a server", argv[i]);
    }
    if (o->target_count == 0) return tool_usage("a server is missing", NULL);
    if (o->messages_max == 0 && o->run_ns == 0) return tool_usage("--messages or --seconds is missing", NULL);
    if (o->to_count == 0) o->to[o->to_count++] = BYTES("sink@to.example");
    if (o->run.len == 0) o->run = random_run();
    return TOOL_OK;
}

int send_main(int argc, char **argv)
{
    static struct send_options o;
    int result = send_parse(argc, argv, &o);
    if (result == TOOL_OK) result = send_run(&o);
    return result < 0 ? TOOL_OK : result;
}
