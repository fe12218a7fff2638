/*
 * main - the command line of mtactl: options anywhere, then a command of the table.
 */
#include <stdlib.h>
#include <string.h>

#include "mta/config/values.h"
#include "mtactl.h"

#ifndef BULKHEAD_VERSION
#define BULKHEAD_VERSION "unknown"
#endif

static int command_version(struct ctl *c, const char *const *arguments, uint32_t count);
static int command_help(struct ctl *c, const char *const *arguments, uint32_t count);

struct command {
    const char *group, *verb;         /* verb NULL = the group is the whole command */
    int (*run)(struct ctl *c, const char *const *arguments, uint32_t count);
    const char *arguments, *meaning;
};

static const struct command commands[] = {
    {"status", NULL, command_status, "[--quiet]", "processes, queue totals, suspended sites; exit code 1 when something is not well"},
    {"queue", "list", command_queue_list, "[FILTER] [--format table|mailq|json|postfix-json]", "messages and their queued recipients"},
    {"queue", "show", command_queue_show, "ID...", "everything about a message"},
    {"queue", "count", command_queue_count, "[FILTER]", "how many messages, recipients, octets"},
    {"queue", "hold", command_queue_hold, "[ID...] [FILTER] [--reason TEXT]", "keep from being delivered (--yes)"},
    {"queue", "release", command_queue_release, "[ID...] [FILTER]", "end a hold (--yes)"},
    {"queue", "flush", command_queue_flush, "[ID...] [FILTER]", "try now"},
    {"queue", "retry-at", command_queue_retry_at, "TIME [ID...] [FILTER]", "try at +30m, @SECONDS, or 2026-12-31T23:00:00Z"},
    {"queue", "bounce", command_queue_bounce, "[ID...] [FILTER] [--reason TEXT]", "give up and tell the sender (--yes)"},
    {"queue", "discard", command_queue_discard, "[ID...] [FILTER]", "give up without a word (--yes)"},
    {"queue", "check", command_queue_check, "[--stopped DIR]", "verify the queue, running or (with --stopped) not"},
    {"site", "list", command_site_list, "", "destinations that have mail, or are backed off or suspended"},
    {"site", "show", command_site_show, "SITE", "one destination"},
    {"site", "suspend", command_site_suspend, "SITE [--reason TEXT]", "no more attempts there (--yes)"},
    {"site", "resume", command_site_resume, "SITE", "attempts again"},
    {"crash", "list", command_crash_list, "", "processes of Bulkhead that died of what somebody sent"},
    {"crash", "show", command_crash_show, "NUMBER", "one of these records, with the octets"},
    {"crash", "export", command_crash_export, "NUMBER", "the octets alone, as they came"},
    {"crash", "clear", command_crash_clear, "[NUMBER]", "remove one record, or all (--yes)"},
    {"user", "add", command_user_add, "NAME [--auth BLOCK]",
     "a login, in the password file of an auth block; the password is asked for, or read from standard input"},
    {"user", "passwd", command_user_passwd, "NAME [--auth BLOCK]", "another password for it"},
    {"user", "del", command_user_del, "NAME [--auth BLOCK]", "remove it"},
    {"user", "list", command_user_list, "[--auth BLOCK]", "all logins"},
    {"table", "list", command_table_list, "", "tables, how many keys each has, and its file"},
    {"table", "lookup", command_table_lookup, "NAME KEY", "the value of a key; exit code 1 when it is not there"},
    {"table", "reload", command_table_reload, "", "read the files of tables again, all or nothing"},
    {"explain", NULL, command_explain, "ADDRESS [--from A] [--client IP] [--helo H] [--auth U] [--listener NAME]",
        "whether mail to this address would be taken, and which line says so"},
    {"tls", "reload", command_tls_reload, "", "read certificates and keys again; all of them are used from then on, or none"},
    {"config", "check", command_config_check, "[-c FILE]", "every problem of a configuration"},
    {"config", "show", command_config_show, "[-c FILE]", "the configuration with all its defaults"},
    {"version", NULL, command_version, "", "the version"},
    {"help", NULL, command_help, "", "this"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_help(FILE *to)
{
    fputs("mtactl - operate Bulkhead\n\n", to);
    for (uint32_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *c = &commands[i];
        fprintf(to, "  mtactl %s%s%s %s\n             %s\n", c->group, c->verb ? " " : "", c->verb ? c->verb : "", c->arguments, c->meaning);
    }
    fputs("\nFILTER: --to ADDRESS|*@DOMAIN  --from ADDRESS|*@DOMAIN|<>  --domain D  --site SITE  --route NAME  --client IP|CIDR\n"
          "        --state active|deferred|held  --reason TEXT  --older 2h  --larger 10M  --id ID  --limit N\n"
          "Options: --json  --socket PATH  -c FILE  --yes  --no-color\n"
          "Exit codes: 0 done, 1 negative answer, 2 usage, 3 mtad cannot be reached, 4 refused, 5 done in part\n", to);
}

int usage(const char *text, const char *word)
{
    fprintf(stderr, "mtactl: %s%s%s (mtactl help)\n", text, word ? ": " : "", word ? word : "");
    return ADMIN_USAGE;
}

static int command_version(struct ctl *c, const char *const *arguments, uint32_t count)
{
    (void)arguments;
    if (count) return usage("too many words", arguments[0]);
    if (c->json) puts("{\"version\":\"" BULKHEAD_VERSION "\"}");
    else puts("mtactl (Bulkhead) " BULKHEAD_VERSION);
    return ADMIN_OK;
}

static int command_help(struct ctl *c, const char *const *arguments, uint32_t count)
{
    (void)c;
    (void)arguments;
    (void)count;
    print_help(stdout);
    return ADMIN_OK;
}

/* ---- options ---- */

struct option_row {
    const char *name;
    bool takes_value;
    bool (*set)(struct ctl *c, const char *value);
};

static bool set_json(struct ctl *c, const char *value) { return (void)value, c->json = true; }
static bool set_yes(struct ctl *c, const char *value) { return (void)value, c->yes = true; }
static bool set_no_color(struct ctl *c, const char *value) { return (void)value, c->no_color = true; }
static bool set_quiet(struct ctl *c, const char *value) { return (void)value, c->quiet = true; }
static bool set_help(struct ctl *c, const char *value) { return (void)value, c->help = true; }

static bool set_version(struct ctl *c, const char *value)
{
    (void)value;
    if (c->word_count < WORDS_MAX) c->words[c->word_count++] = "version";
    return true;
}
static bool set_socket(struct ctl *c, const char *value) { return (c->socket = value)[0] != 0; }
static bool set_auth(struct ctl *c, const char *value) { return (c->auth = value)[0] != 0; }
static bool set_config(struct ctl *c, const char *value) { return (c->config = value)[0] != 0; }
static bool set_stopped(struct ctl *c, const char *value) { return (c->stopped = value)[0] != 0; }

static bool set_format(struct ctl *c, const char *value)
{
    static const char *const names[] = {"table", "json", "postfix-json", "mailq"};
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(value, names[i]) != 0) continue;
        c->format = (enum format)i;
        if (c->format == FORMAT_JSON) c->json = true;
        return true;
    }
    return false;
}

static bool set_text(struct bytes *out, const char *value, uint32_t max)
{
    *out = bytes_of_cstr(value);
    return out->len > 0 && out->len <= max;
}

static bool set_to(struct ctl *c, const char *value) { return set_text(&c->ask.to, value, MAIL_ADDRESS_BYTES_MAX); }
static bool set_from(struct ctl *c, const char *value) { return set_text(&c->ask.from, value[0] ? value : "<>", MAIL_ADDRESS_BYTES_MAX); }
static bool set_domain(struct ctl *c, const char *value) { return set_text(&c->ask.domain, value, HOST_NAME_BYTES_MAX); }
static bool set_site(struct ctl *c, const char *value) { return set_text(&c->ask.site, value, HOST_NAME_BYTES_MAX); }
static bool set_route(struct ctl *c, const char *value) { return set_text(&c->ask.route, value, 64); }
static bool set_reason(struct ctl *c, const char *value) { return set_text(&c->ask.reason, value, 256); }

static bool set_helo(struct ctl *c, const char *value) { return set_domain(c, value); }
static bool set_listener(struct ctl *c, const char *value) { return set_site(c, value); }

static bool set_client(struct ctl *c, const char *value)
{
    struct net_prefix prefix;
    return set_text(&c->ask.client, value, 64) && net_parse_prefix(c->ask.client, &prefix);
}

static bool set_state(struct ctl *c, const char *value)
{
    enum admin_state state = admin_state_find(bytes_of_cstr(value));
    c->ask.state = (uint8_t)state;
    return state != ADMIN_STATE_COUNT;
}

static bool set_older(struct ctl *c, const char *value)
{
    uint64_t ms;
    if (!value_time_ms(bytes_of_cstr(value), &ms)) return false;
    c->ask.older_s = (int64_t)(ms / 1000);
    return true;
}

static bool set_larger(struct ctl *c, const char *value) { return value_size(bytes_of_cstr(value), &c->ask.larger_bytes); }
static bool set_id(struct ctl *c, const char *value) { return message_id_parse(bytes_of_cstr(value), &c->ask.message); }
static bool set_limit(struct ctl *c, const char *value) { return bytes_to_u64(bytes_of_cstr(value), &c->ask.limit) && c->ask.limit > 0; }

static const struct option_row options[] = {
    {"--json", false, set_json},     {"--yes", false, set_yes},       {"--no-color", false, set_no_color}, {"--quiet", false, set_quiet},
    {"--help", false, set_help},     {"-h", false, set_help},         {"--version", false, set_version},   {"--socket", true, set_socket},
    {"--config", true, set_config},  {"-c", true, set_config},        {"--stopped", true, set_stopped},    {"--format", true, set_format},
    {"--to", true, set_to},          {"--from", true, set_from},      {"--domain", true, set_domain},      {"--site", true, set_site},
    {"--route", true, set_route},    {"--client", true, set_client},  {"--state", true, set_state},        {"--reason", true, set_reason},
    {"--older", true, set_older},    {"--larger", true, set_larger},  {"--id", true, set_id},              {"--limit", true, set_limit},
    {"--helo", true, set_helo},      {"--auth", true, set_auth},      {"--listener", true, set_listener},
};

/* take_option - the option at argv[*i], with its value; 0, or the exit code. */
static int take_option(struct ctl *c, char **argv, int argc, int *i)
{
    const char *word = argv[*i], *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    for (uint32_t k = 0; k < sizeof options / sizeof *options; k++) {
        const struct option_row *o = &options[k];
        if (strlen(o->name) != length || strncmp(o->name, word, length) != 0) continue;
        if (!o->takes_value && equals) return usage("this option takes no value", word);
        const char *value = equals ? equals + 1 : NULL;
        if (o->takes_value && !value && ++*i < argc) value = argv[*i];
        if (o->takes_value && !value) return usage("this option wants a value", word);
        return o->set(c, value) ? 0 : usage("this value cannot be", value ? value : word);
    }
    return usage("unknown option", word);
}

static int parse(struct ctl *c, int argc, char **argv)
{
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            int code = take_option(c, argv, argc, &i);
            if (code) return code;
        } else if (c->word_count == WORDS_MAX) {
            return usage("too many words", NULL);
        } else {
            c->words[c->word_count++] = argv[i];
        }
    }
    return 0;
}

static int run(struct ctl *c)
{
    bool group_known = false;
    for (uint32_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *row = &commands[i];
        uint32_t own = row->verb ? 2 : 1;
        if (strcmp(row->group, c->words[0]) != 0) continue;
        group_known = true;
        if (row->verb && (c->word_count < 2 || strcmp(row->verb, c->words[1]) != 0)) continue;
        return row->run(c, c->words + own, c->word_count - own);
    }
    if (!group_known) return usage("unknown command", c->words[0]);
    return c->word_count < 2 ? usage("which one? give a verb behind", c->words[0]) : usage("unknown verb", c->words[1]);
}

int main(int argc, char **argv)
{
    static struct ctl c;
    if (getenv("NO_COLOR")) c.no_color = true;
    int code = parse(&c, argc, argv);
    if (code) return code;
    if (c.help || !c.word_count) {
        print_help(c.help ? stdout : stderr);
        return c.help ? ADMIN_OK : ADMIN_USAGE;
    }
    code = run(&c);
    if (fflush(stdout) == 0) return code;
    fputs("mtactl: the output could not be written\n", stderr);
    return ADMIN_PARTIAL;
}
