/*
 * sink_options - the command line of `mtabench sink`.
 */
#include <getopt.h>

#include "base/limits.h"
#include "bench/mtabench/sink.h"
#include "bench/mtabench/tool.h"
#include "bench/mtabench/values.h"

enum { PORT_DEFAULT = 2525, SESSIONS_DEFAULT = 10000, SESSIONS_MAX = 1000 * 1000 };

static const uint64_t idle_default_ns = UINT64_C(300) * 1000000000;

static const char help_head[] =
    "mtabench sink [OPTIONS] ADDRESS[:PORT]... - take mail, count it, throw it away\n\n"
    "ADDRESS is an IP address (0.0.0.0 for all); the port is 2525 unless said.\n\n"
    "  --personality DOMAIN=KIND   how to behave towards recipients of a domain (may be given again; the first that fits counts);\n"
    "                              DOMAIN may have one *, or be an own address in brackets, for whole connections. KIND:\n";
static const char help_tail[] =
    "  --ledger FILE               write which messages were seen, at the end and on SIGHUP\n"
    "  --counter FILE              keep the numbers of messages and of recipients in this file, 8 octets each, least significant first\n"
    "  --messages N, --seconds T   end after so many messages, or that time; else SIGINT or SIGTERM ends it\n"
    "  --sessions N                at most so many connections at once (10000)\n"
    "  --timeout T                 close a connection that says nothing for so long (300s)\n"
    "  --hostname NAME             how it calls itself\n"
    "  --no-pipelining, --no-ehlo  offer less\n"
    "  --quick-ack                 acknowledge segments at once, for clients that leave Nagle's algorithm on\n"
    "  --json, --quiet             the result as JSON; no progress line\n";

static void print_help(void)
{
    static const char *const kinds[] = {
#define KIND_TEXT(name, text, meaning) "                                " text "\t" meaning,
        PERSONALITY_KINDS(KIND_TEXT)
    };
    fputs(help_head, stdout);
    for (uint32_t i = 0; i < PERSONALITY_KIND_COUNT; i++) puts(kinds[i]);
    fputs(help_tail, stdout);
}

enum { PERSONALITY = 1, LEDGER, COUNTER, MESSAGES, SECONDS, SESSIONS, TIMEOUT, HOSTNAME, NO_PIPELINING, NO_EHLO, QUICK_ACK, JSON, QUIET, HELP };

static const struct option options[] = {
    {"personality", required_argument, NULL, PERSONALITY}, {"ledger", required_argument, NULL, LEDGER},   {"counter", required_argument, NULL, COUNTER},
    {"messages", required_argument, NULL, MESSAGES},       {"seconds", required_argument, NULL, SECONDS}, {"sessions", required_argument, NULL, SESSIONS},
    {"timeout", required_argument, NULL, TIMEOUT},         {"hostname", required_argument, NULL, HOSTNAME}, {"no-pipelining", no_argument, NULL, NO_PIPELINING},
    {"no-ehlo", no_argument, NULL, NO_EHLO},               {"json", no_argument, NULL, JSON},             {"quiet", no_argument, NULL, QUIET},
    {"quick-ack", no_argument, NULL, QUICK_ACK},           {"help", no_argument, NULL, HELP},             {0},
};

static bool set_flag(bool *flag)
{
    *flag = true;
    return true;
}

static bool set_option(int which, const char *value, struct sink_options *o, struct sink_common *common)
{
    struct bytes text = value ? bytes_of_cstr(value) : bytes_of(NULL, 0);
    switch (which) {
    case PERSONALITY: return personality_parse(&common->people, text);
    case LEDGER: o->ledger = value; return text.len > 0;
    case COUNTER: o->counter = value; return text.len > 0;
    case MESSAGES: return value_count(text, 1, VALUES_COUNT_MAX, &o->messages_max);
    case SECONDS: return value_ns(text, &o->run_ns) && o->run_ns > 0;
    case SESSIONS: return value_count(text, 1, SESSIONS_MAX, &o->sessions_max);
    case TIMEOUT: return value_ns(text, &o->idle_ns) && o->idle_ns > 0;
    case HOSTNAME: common->hostname = text; return text.len > 0 && text.len <= MAIL_DOMAIN_BYTES_MAX;
    case NO_PIPELINING: return set_flag(&common->no_pipelining);
    case NO_EHLO: return set_flag(&common->no_ehlo);
    case QUICK_ACK: return set_flag(&o->quick_ack);
    case JSON: return set_flag(&o->json);
    default: return set_flag(&o->quiet);
    }
}

static bool add_address(struct sink_options *o, const char *word)
{
    struct bytes text = bytes_of_cstr(word);
    struct net_address a;
    if (o->listen_count == SINK_LISTENERS_MAX) return false;
    if (!net_parse_ip_port(text, &a)) {
        if (!net_parse_ip(text, &a)) return false;
        a.port = PORT_DEFAULT;
    }
    o->listen[o->listen_count++] = a;
    return true;
}

int sink_parse(int argc, char **argv, struct sink_options *o, struct sink_common *common)
{
    int which, index = 0;
    o->sessions_max = SESSIONS_DEFAULT;
    o->idle_ns = idle_default_ns;
    common->hostname = BYTES("sink.mtabench.invalid");
    while ((which = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (which == HELP) {
            print_help();
            return -1;
        }
        if (which == '?') return TOOL_USAGE;
        if (!set_option(which, optarg, o, common)) return tool_usage_value(options[index].name, optarg);
    }
    for (int i = optind; i < argc; i++) {
        if (!add_address(o, argv[i])) return tool_usage("not an address to listen on", argv[i]);
    }
    return o->listen_count > 0 ? TOOL_OK : tool_usage("an address to listen on is missing", NULL);
}

int sink_main(int argc, char **argv)
{
    static struct sink_options o;
    static struct sink_common common;
    int result = sink_parse(argc, argv, &o, &common);
    if (result == TOOL_OK) result = sink_run(&o, &common);
    personalities_fini(&common.people);
    ledger_fini(&common.ledger);
    return result < 0 ? TOOL_OK : result;
}
