/*
 * options - the command line that callers of sendmail have written for forty years. What means nothing here is taken and ignored, as elsewhere; what
 * would be done wrongly if it were ignored is refused.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "sendmail.h"
#include "smtp/address.h"

static bool is_word(const char *text, const char *word)
{
    return bytes_equal_nocase(bytes_of_cstr(text), bytes_of_cstr(word));
}

/* take_notify - never, or some of failure, delay, success; 0, or the exit code. */
static int take_notify(struct job *j, const char *value)
{
    static char text[sizeof "failure,delay,success"];
    struct bytes rest = bytes_of_cstr(value);
    bool never = false, some = false;
    while (rest.len > 0) {
        struct bytes word = bytes_slice(rest, 0, bytes_find(rest, ','));
        rest = bytes_from(rest, word.len + 1);
        never = never || bytes_equal_nocase(word, BYTES("never"));
        bool known = bytes_equal_nocase(word, BYTES("failure")) || bytes_equal_nocase(word, BYTES("delay")) || bytes_equal_nocase(word, BYTES("success"));
        if (!known && !bytes_equal_nocase(word, BYTES("never"))) return complain(EX_USAGE, "-N takes never, or some of failure,delay,success, not", word);
        some = some || known;
    }
    if (never == some || strlen(value) >= sizeof text) return complain(EX_USAGE, "-N takes never, or some of failure,delay,success, not", bytes_of_cstr(value));
    snprintf(text, sizeof text, "%s", value);
    j->notify = text;
    return 0;
}

static int take_ret(struct job *j, const char *value)
{
    if (is_word(value, "full")) j->ret = "FULL";
    else if (is_word(value, "hdrs")) j->ret = "HDRS";
    else return complain(EX_USAGE, "-R takes full or hdrs, not", bytes_of_cstr(value));
    return 0;
}

static int take_envid(struct job *j, const char *value)
{
    if (!value[0] || strlen(value) > MAIL_ENVID_BYTES_MAX) return complain(EX_USAGE, "-V takes an envelope id of 1 to 100 octets, not", bytes_of_cstr(value));
    j->envid = value;
    return 0;
}

static int take_mode(struct job *j, const char *value)
{
    static const struct { char letter; enum mode mode; } modes[] = {
        {'m', MODE_SEND}, {'s', MODE_SMTP}, {'p', MODE_QUEUE}, {'i', MODE_ALIASES}, {'v', MODE_VERIFY}, {'h', MODE_NOTHING}, {'H', MODE_NOTHING},
    };
    for (uint32_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (value[0] != modes[i].letter || value[1]) continue;
        j->mode = modes[i].mode;
        return 0;
    }
    if (value[0] == 'd' || value[0] == 'D') return complain(EX_USAGE, "the daemon is mtad(8), and starts by itself", (struct bytes){0});
    return complain(EX_USAGE, "unknown mode -b", bytes_of_cstr(value));
}

/* take_long - -O name=value. */
static int take_long(struct job *j, const char *value)
{
    if (is_word(value, "smtputf8=yes")) j->smtputf8 = true;
    if (is_word(value, "requiretls=yes")) j->requiretls = true;
    return 0;
}

/* next_word - the value of an option that has none attached: the word behind it. */
static const char *next_word(int argc, char **argv)
{
    return optind < argc ? argv[optind++] : NULL;
}

/* take_short - -oX: i and A mean something, the rest nothing. */
static int take_short(struct job *j, const char *value, int argc, char **argv)
{
    if (value[0] == 'i') j->dot_is_text = true;
    if (value[0] != 'A') return 0;
    j->aliases = value[1] ? value + 1 : next_word(argc, argv);
    return j->aliases ? 0 : complain(EX_USAGE, "-oA wants a file", (struct bytes){0});
}

/* take_queue - -q, -qI ID, -qR SITE; a time means nothing, since mtad has its own. */
static int take_queue(struct job *j, const char *value, int argc, char **argv)
{
    j->mode = MODE_FLUSH;
    if (!value || !value[0]) return 0;
    if (value[0] != 'I' && value[0] != 'R') {
        if (!ascii_is_digit((uint8_t)value[0])) return complain(EX_USAGE, "-q takes nothing, I and an id, or R and a domain, not", bytes_of_cstr(value));
        j->mode = MODE_NOTHING;
        return 0;
    }
    const char *what = value[1] ? value + 1 : next_word(argc, argv);
    if (!what) return complain(EX_USAGE, "-qI wants an id, -qR a domain", (struct bytes){0});
    if (value[0] == 'I') j->flush_id = what;
    else j->flush_site = what;
    return 0;
}

/* take_verp - -XV, -XV+=; other -X are files for traces, of which there are none here. */
static int take_verp(struct job *j, const char *value)
{
    if (value[0] != 'V') return 0;
    if (value[1] && strlen(value + 1) != 2) return complain(EX_USAGE, "-XV takes two characters or none, not", bytes_of_cstr(value + 1));
    j->verp = true;
    memcpy(j->verp_marks, value[1] ? value + 1 : "+=", 2);
    return 0;
}

static int take(struct job *j, int letter, const char *value, int argc, char **argv)
{
    switch (letter) {
    case 't': j->from_header = true; return 0;
    case 'i': j->dot_is_text = true; return 0;
    case 'G': j->gateway = true; return 0;
    case 'I': j->mode = MODE_ALIASES; return 0;
    case 'v': j->verbose = true; return 0;
    case 'f': case 'r': j->sender = value; return 0;
    case 'F': j->name = value; return 0;
    case 'C': j->config = value; return 0;
    case 'N': return take_notify(j, value);
    case 'R': return take_ret(j, value);
    case 'V': return take_envid(j, value);
    case 'B':
        if (is_word(value, "7bit") || is_word(value, "8bitmime")) return 0; /* what it is shows when it is read */
        return complain(EX_USAGE, "-B takes 7BIT or 8BITMIME, not", bytes_of_cstr(value));
    case 'b': return take_mode(j, value);
    case 'o': return take_short(j, value, argc, argv);
    case 'O': return take_long(j, value);
    case 'X': return take_verp(j, value);
    case 'q': return take_queue(j, value, argc, argv);
    case '?': return complain(EX_USAGE, "unknown option, or one without its value; see sendmail(1)", (struct bytes){0});
    default: return 0; /* A c d e h L m n p U x: of other times */
    }
}

int options_read(struct job *j, int argc, char **argv)
{
    int letter;
    while ((letter = getopt(argc, argv, "A:B:C:F:GIL:N:O:R:UV:X:b:cd::e:f:h:imno:p:q::r:tvx")) != -1) {
        int code = take(j, letter, optarg, argc, argv);
        if (code) return code;
    }
    for (int i = optind; i < argc; i++) list_add(&j->recipients, bytes_of_cstr(argv[i]));
    return 0;
}
