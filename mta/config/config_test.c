/*
 * config_test - texts in, problems or an image out; each problem line is compared as it is printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mta/config/load.h"

enum { OUT_BYTES = 65536 };

static void note(void *context, bool is_error, struct bytes line)
{
    struct buf *out = context;
    if (!is_error && bytes_starts(line, BYTES("t: warning: "))) return; /* of the whole file: tested by itself */
    buf_put(out, line);
    buf_put_c(out, '\n');
}

static enum err load(struct bytes text, struct buf *problems, struct bytes *image)
{
    struct config_problem_sink sink = {note, problems};
    return config_load_text(text, "t", 3, &sink, image);
}

struct problem_case {
    const char *text; /* behind "config-version 1\n" */
    const char *want; /* problems, each with its newline; the lines count from the version's */
};

#define OK_ROUTE "route r { match any; mx }\n"

static const struct problem_case problem_cases[] = {
    {"", "t: error: there is no route; expected at least one, such as route default { match any; mx }\n"},
    {OK_ROUTE "foo bar", "t:3:1: error: unknown key `foo' at the top level\n"},
    {OK_ROUTE "lisen a { address 1.2.3.4:25 }", "t:3:1: error: unknown key `lisen' at the top level; did you mean `listen'?\n"},
    {OK_ROUTE "hostname a.b\nhostname c.d", "t:4:1: error: `hostname' is given twice; the first is on line 3\n"},
    {OK_ROUTE "limits { }\nlimits { }", "t:4:1: error: `limits' is given twice; the first is on line 3\n"},
    {OK_ROUTE "hostname", "t:3:1: error: `hostname' lacks a value; expected a host name such as mx1.example.org\n"},
    {OK_ROUTE "hostname a.b c", "t:3:14: error: unexpected `c' behind `hostname'; expected a host name such as mx1.example.org\n"},
    {OK_ROUTE "hostname a.b { }", "t:3:1: error: `hostname' takes no block; expected `;' or a new line instead of `{'\n"},
    {OK_ROUTE "hostname a..b", "t:3:10: error: `hostname' is `a..b'; expected a host name such as mx1.example.org\n"},
    {OK_ROUTE "limits", "t:3:1: error: expected `{' behind `limits'\n"},
    {OK_ROUTE "limits x { }", "t:3:8: error: unexpected `x'; expected `{' behind `limits'\n"},
    {OK_ROUTE "limits { message-size 25MB }",
     "t:3:23: error: `message-size' is `25MB'; expected a size such as 64K, 25M or 2G\n"},
    {OK_ROUTE "limits { recipients 0 }", "t:3:21: error: `recipients' is `0'; expected 1 to 100000\n"},
    {OK_ROUTE "limits { data-rate 10 }", "t:3:20: error: `data-rate' is `10'; expected a rate such as 40/s or 600/m, or off\n"},
    {OK_ROUTE "timeouts { conect 5s }", "t:3:12: error: unknown key `conect' in timeouts; did you mean `connect'?\n"},
    {OK_ROUTE "timeouts { mail 5 }", "t:3:17: error: `mail' is `5'; expected a time such as 30s, 5m, 4h or 2d\n"},
    {OK_ROUTE "timeouts { mail 2d }", "t:3:17: error: `mail' is `2d'; expected 100ms to 1h\n"},
    {OK_ROUTE "queue { retry 1m ... }", "t:3:18: error: `retry' has `...'; expected a time from 1s to 30d, such as 5m\n"},
    {OK_ROUTE "queue { path run }", "t:3:14: error: `path' is `run'; expected an absolute path without . or .. in it\n"},
    {OK_ROUTE "mailbox { create yes }", "t:3:18: error: `create' is `yes'; expected on or off\n"},
    {OK_ROUTE "resolver { stub localhost }",
     "t:3:17: error: `stub' is `localhost'; expected an address such as 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53\n"},
    {OK_ROUTE "postmaster root", "t:3:12: error: `postmaster' is `root'; expected an address such as postmaster@example.org\n"},
    {OK_ROUTE "log { stderr; syslog }", "t:3:15: error: log goes to one place; expected one of stderr, file, syslog\n"},
    {OK_ROUTE "log { level inf }",
     "t:3:13: error: `level' is `inf'; expected one of: fatal error warning info trace; did you mean `info'?\n"},
    {OK_ROUTE "sandbox { require some }", "t:3:19: error: `require' is `some'; expected all\n"},
    {OK_ROUTE "uid-base 5", "t:3:10: error: `uid-base' is `5'; expected 1000 to 2147483000\n"},
    {OK_ROUTE "uid-base 0", "t:3:10: error: `uid-base' is `0'; expected 1000 to 2147483000\n"},
    {OK_ROUTE "config-version 1", "t:3:1: error: `config-version' is given twice; the first is on line 1\n"},
    {OK_ROUTE "include x", "t:3:9: error: `include' needs a configuration that is a file\n"},
    /* listen */
    {OK_ROUTE "listen { address 1.2.3.4:25 }", "t:3:1: error: expected `listen NAME {'\n"},
    {OK_ROUTE "listen a.b { address 1.2.3.4:25 }",
     "t:3:8: error: `a.b' is no name for listen; expected at most 64 letters, digits, - and _\n"},
    {OK_ROUTE "listen a { trust local }", "t:3:1: error: listen `a' lacks `address'; expected address IP:PORT, or socket PATH\n"},
    {OK_ROUTE "listen a { socket s }", "t:3:19: error: `socket' is `s'; expected an absolute path without . or .. in it\n"},
    {OK_ROUTE "listen a { address 1.2.3.4:25; socket /s }", "t:3:1: error: listen `a' has `address' and `socket'; expected one of them\n"},
    {OK_ROUTE "listen a { socket /s; trust local }", "t:3:1: error: listen `a' has `socket' and `trust'; users of this host are named by `peers'\n"},
    {OK_ROUTE "listen a { address 1.2.3.4:25; peers root }",
     "t:3:1: error: listen `a' has `peers' without `socket'; clients of an address are named by `trust'\n"},
    {OK_ROUTE "listen a { socket /s; peers nosuchuser }",
     "t:3:29: error: `peers' names `nosuchuser', which is no user of this machine; expected any, or names or numbers of users\n"},
    {OK_ROUTE "listen a { socket /s }\nlisten b { socket /s }", "t: error: listen `b' and listen `a' both have the socket /s\n"},
    {OK_ROUTE "control { socket /s }\nlisten a { socket /s }", "t: error: listen `a' has the socket of mtactl; expected another path\n"},
    {OK_ROUTE "listen a { address 1.2.3.4 }", "t:3:20: error: `address' is `1.2.3.4'; expected *:25, 192.0.2.1:25 or [2001:db8::1]:25\n"},
    {OK_ROUTE "listen a { address 1.2.3.4:0 *:x }",
     "t:3:20: error: `address' is `1.2.3.4:0'; expected *:25, 192.0.2.1:25 or [2001:db8::1]:25\n"
     "t:3:30: error: `address' is `*:x'; expected *:25, 192.0.2.1:25 or [2001:db8::1]:25\n"},
    {OK_ROUTE "listen a { address 1.2.3.4:25 1.2.3.4:25 }", "t:3:31: error: the address 1.2.3.4:25 is given twice\n"},
    {OK_ROUTE "listen a { address *:25 }\nlisten b { address 0.0.0.0:25 }", "t: error: listen `b' and listen `a' both have the address 0.0.0.0:25\n"},
    {OK_ROUTE "listen a { address 1.2.3.4:25 }\nlisten a { address 1.2.3.4:26 }", "t:4:8: error: there is another listen `a'\n"},
    {OK_ROUTE "listen a { address 1.2.3.4:25; trust 10.0.0.1/8 }",
     "t:3:38: error: `10.0.0.1/8' is no network; expected 192.0.2.0/24, 2001:db8::/32 (host bits zero), an address, local, or a table\n"},
    {OK_ROUTE "listen a { address 1.2.3.4:25; bare-newline normalize }",
     "t:3:45: error: `bare-newline' is `normalize'; expected one of: refuse normalise; did you mean `normalise'?\n"},
    {OK_ROUTE "listen a { address *:25; polices x }", "t:3:26: error: unknown key `polices' in listen `a'; did you mean `policies'?\n"},
    {OK_ROUTE "listen a { address *:25; policies x }", "t:3:26: error: `policies' in listen `a' is not supported yet\n"},
    /* route */
    {"route r { mx }", "t:2:1: error: route `r' lacks `match'; expected at least one, such as match any\n"},
    {"route r { match any }", "t:2:1: error: route `r' lacks an action; expected one of relay, mx, transport, lmtp, local, maildir, discard, reject\n"},
    {"route r { match any; mx; discard }", "t:2:26: error: a route has one action; this one has `mx' already\n"},
    {"route r { match any; mx; mx }", "t:2:26: error: `mx' is given twice; the first is on line 2\n"},
    {OK_ROUTE OK_ROUTE, "t:3:1: warning: route `r' is never reached: route `r' before it matches everything\nt:3:7: error: there is another route `r'\n"},
    {"route r { match; mx }",
     "t:2:11: error: `match' lacks a value; expected any, local, trusted, authenticated, rcpt-domain, rcpt, sender, sender-domain or client\n"},
    {"route r { match recipient x.y; mx }",
     "t:2:17: error: unknown match `recipient'; expected any, local, trusted, authenticated, rcpt-domain, rcpt, sender, sender-domain or client\n"},
    {"route r { match any x; mx }", "t:2:21: error: unexpected `x' behind `match any'; expected nothing more\n"},
    {"route r { match local or any x; mx }", "t:2:26: error: `or' joins kinds without words, such as authenticated or local\n"},
    {"route r { match header X-Y z; mx }", "t:2:17: error: `match header' is not supported yet\n"},
    {"route r { match rcpt-domain; mx }", "t:2:17: error: `match rcpt-domain' lacks a value; expected one or more\n"},
    {"table domains { inline a.b }\nroute r { match rcpt-domain domain; mx }",
     "t:3:29: error: `domain' is neither a table nor a domain (a domain has a dot); did you mean `domains'?\n"},
    {"route r { match rcpt-domain a..b; mx }", "t:2:29: error: `a..b' is no domain\n"},
    {"route r { match rcpt ann; mx }", "t:2:22: error: `ann' is neither a table nor an address (an address has an @)\n"},
    {"route r { match client x; mx }",
     "t:2:24: error: `x' is no network; expected 192.0.2.0/24, 2001:db8::/32 (host bits zero), an address, local, or a table\n"},
    {"route r { match rcpt t; mx }\ntable t { inline a@b.c b.c }", "t:3:24: error: `b.c' is no address, as the use of table `t' expects\n"},
    {"route r { match any; lmtp /run/lmtp }",
     "t:2:27: error: `lmtp' is `/run/lmtp'; expected unix:PATH, inet:HOST or inet:HOST:PORT (an IPv6 address in brackets)\n"},
    {"route r { match any; lmtp unix:lmtp }",
     "t:2:27: error: `lmtp' is `unix:lmtp'; expected behind unix: an absolute path of at most 107 octets, without . or .. in it\n"},
    {"route r { match any; lmtp inet:::1 }",
     "t:2:27: error: `lmtp' is `inet:::1'; expected unix:PATH, inet:HOST or inet:HOST:PORT (an IPv6 address in brackets)\n"},
    {"route r { match any; lmtp unix:/run/x; relay smtp://x }", "t:2:40: error: a route has one action; this one has `lmtp' already\n"},
    {"route r { match any; relay lmtp:[127.0.0.1]:24 }",
     "t:2:28: error: `lmtp:' in relay; expected the action lmtp instead, such as lmtp unix:/run/dovecot/lmtp\n"},
    {"route r { match any; relay mail.example.org }",
     "t:2:28: error: `relay' is `mail.example.org'; expected smtp://HOST or smtp://HOST:PORT (an IPv6 address in brackets)\n"},
    {"route r { match any; relay smtp://::1 }",
     "t:2:28: error: `relay' is `smtp://::1'; expected smtp://HOST or smtp://HOST:PORT (an IPv6 address in brackets)\n"},
    {"route r { match any; relay smtp://x:99999 }",
     "t:2:28: error: `relay' is `smtp://x:99999'; expected smtp://HOST or smtp://HOST:PORT (an IPv6 address in brackets)\n"},
    {"route r { match any; relay smtps://x:465 { auth y; tls verify; foo } }",
     "t:2:44: error: `auth' in relay is not supported yet\n"
     "t:2:64: error: unknown key `foo' in relay\n"},
    {"route r { match any; relay smtps://x { tls opportunistic } }", "t:2:22: error: smtps: begins with TLS; expected tls encrypt or tls verify\n"},
    {"route r { match any; relay smtps://x smtp://y }", "t:2:38: error: smtp: and smtps: in one relay; expected all hosts the same way\n"},
    {"route r { match any; mx { tls verify encrypt } }",
     "t:2:38: error: `tls' is `encrypt'; expected off, opportunistic, encrypt or verify, and dane beside the last three\n"},
    {"route r { match any; mx { tls off dane } }", "t:2:27: error: `tls off' and `dane' contradict each other\n"},
    {"route r { match any; maildir m/{local} }", "t:2:30: error: `maildir' is `m/{local}'; expected an absolute path without . or .. in it\n"},
    {"route r { match any; maildir /m/{user} }", "t:2:30: error: `maildir' is `/m/{user}'; expected no braces but {domain} and {local}\n"},
    {"route r { match any; reject 250 fine }",
     "t:2:29: error: `reject' has the code `250'; expected 400 to 599, but not 421, which closes the connection\n"},
    {"route r { match any; reject 550 4.1.1 no }", "t:2:33: error: the enhanced code `4.1.1' contradicts the code `550'\n"},
    {"route r { match any; mx; source 1.2.3.4 5.6.7.8 }", "t:2:41: error: `source' has two addresses of one family; expected one of each\n"},
    {"route r { match any; mx; 8bit convert }", "t:2:31: error: `8bit convert' is not supported yet; expected as-is\n"},
    {"route r { match any; mx; rewrite t }", "t:2:34: error: there is no table `t'\n"},
    {"table tabel { inline a }\nroute r { match any; mx; rewrite table }", "t:3:34: error: there is no table `table'; did you mean `tabel'?\n"},
    {"route r { match any; mx; sub-address ++ }", "t:2:38: error: `sub-address' is `++'; expected one of + - = _ #\n"},
    {OK_ROUTE "masquerade { envelope-from *@a.b -> *@*.c }",
     "t:3:28: error: this is no rule; expected PATTERN -> TARGET, such as *@host.example.org -> *@example.org\n"},
    {OK_ROUTE "masquerade { header-from *@a.b -> *@c.d }", "t:3:14: error: `header-from' in masquerade is not supported yet\n"},
    {OK_ROUTE "srs { domain a.b }", "t: error: `srs' lacks `domain' or `secret'; expected both\n"},
    /* table */
    {OK_ROUTE "table t { }", "t:3:1: error: table `t' is empty; expected inline NAME ... or file PATH\n"},
    {OK_ROUTE "table t { inline a; file /x }", "t:3:21: error: a table has either inline or file; expected one of them\n"},
    {OK_ROUTE "table t { inline a }\ntable t { inline b }", "t:4:7: error: there is another table `t'\n"},
    {OK_ROUTE "table t { file x; format aliases }",
     "t:3:16: error: `file' needs a configuration that is a file\n"},
    {OK_ROUTE "table t { inline a; format regex }", "t:3:18: error: `format' is for a table in a file; inline entries are plain\n"},
    {OK_ROUTE "table t { entry a }", "t:3:17: error: `entry' lacks a value; expected a key and its value\n"},
    /* auth */
    {OK_ROUTE "auth a { }", "t:3:1: error: auth `a' must have one of `file' and `dovecot'; expected file PATH or dovecot PATH\n"},
    {OK_ROUTE "auth a { file /f; dovecot /d }", "t:3:1: error: auth `a' must have one of `file' and `dovecot'; expected file PATH or dovecot PATH\n"},
    {OK_ROUTE "auth a { file /f; mechanisms plain cram-md5 }",
     "t:3:36: error: `mechanisms' names `cram-md5'; expected some of plain, login, scram-sha-256 and external\n"},
    {OK_ROUTE "auth a { file /f }\nlisten s { address *:587; auth a }",
     "t: error: listen `s' has `auth' without `tls': nobody could log in, since passwords are taken under TLS only\n"},
    {OK_ROUTE "auth mine { file /f }\ntls default { certificate /c; key /k }\nlisten s { address *:587; auth mire; tls implicit }",
     "t: error: listen `s' names auth `mire', and there is no such block; expected auth NAME { file PATH } or auth NAME { dovecot PATH };"
     " did you mean `mine'?\n"},
    {OK_ROUTE "listen s { address *:587; sender-logins t }",
     "t:3:41: error: `sender-logins' names `t', and there is no such table; expected table NAME { file PATH }\n"},
    {OK_ROUTE "table t { inline a@b.c }\nlisten s { address *:587; sender-logins t }",
     "t: error: listen `s' has `sender-logins' without `auth': nobody can log in there\n"
     "t:3:18: error: `a@b.c' has no login behind it; expected the logins that may send as it\n"},
    {"route r { match authenticated or local; mx }\nroute s { match local or rcpt; mx }",
     "t:3:26: error: `or' joins kinds without words, such as authenticated or local\n"},
    /* tls */
    {OK_ROUTE "tls t { }", "t:3:1: error: tls `t' lacks `certificate' and `key'; expected certificate PATH; key PATH\n"},
    {OK_ROUTE "tls t { certificate /c }", "t:3:1: error: tls `t' has a `certificate' without its `key'; expected key PATH behind each certificate\n"},
    {OK_ROUTE "tls t { key /k }", "t:3:9: error: `key' without a `certificate' before it; expected certificate PATH; key PATH\n"},
    {OK_ROUTE "tls t { certificate c; key /k }", "t:3:21: error: `certificate' is `c'; expected an absolute path without . or .. in it\n"},
    {OK_ROUTE "listen a { address *:25; tls maybe }",
     "t:3:30: error: `tls' is `maybe'; expected off, starttls NAME, starttls-required NAME or implicit NAME\n"},
    {OK_ROUTE "tls mine { certificate /c; key /k }\nlisten a { address *:25; tls starttls mire }",
     "t: error: listen `a' names tls `mire', and there is no such block; expected tls NAME { certificate PATH; key PATH }; did you mean `mine'?\n"},
    /* syntax and meaning together, in the order of the lines */
    {"limits { recipients x }\nlisten a {\n  address 1.2.3.4:25\n" OK_ROUTE,
     "t: error: there is no route; expected at least one, such as route default { match any; mx }\n"
     "t:2:21: error: `recipients' is `x'; expected a number\nt:3:1: error: block `listen a' opened here is never closed; expected `}'\n"
     "t:5:1: error: `route' in listen `a'; it belongs to the top level: expected `}' before it\n"},
};

static void test_config_wrong_texts_report_every_problem(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof problem_cases / sizeof problem_cases[0]; i++) {
        static uint8_t text_memory[4096], problems_memory[OUT_BYTES];
        struct buf text = BUF_OVER(text_memory), problems = BUF_OVER(problems_memory);
        struct bytes image;
        BUF_LIT(&text, "config-version 1\n");
        buf_put_cstr(&text, problem_cases[i].text);
        enum err e = load(buf_bytes(&text), &problems, &image);
        bool only_warnings = !strstr(problem_cases[i].want, ": error: ");
        if (e != (only_warnings ? ERR_NONE : ERR_BAD_VALUE) || !bytes_equal(buf_bytes(&problems), bytes_of_cstr(problem_cases[i].want))) {
            fail_msg("%s\ngot: %.*s", problem_cases[i].text, (int)problems.len, (const char *)problems_memory);
        }
    }
}

static void test_config_version_must_come_first_and_be_known(void **state)
{
    (void)state;
    static const struct problem_case cases[] = {
        {"", "t:1:1: error: expected `config-version 1' as the first statement of the file\n"},
        {"hostname a.b\nconfig-version 1\n", "t:1:1: error: expected `config-version 1' as the first statement of the file\n"},
        {"config-version 2\n", "t:1:16: error: `config-version' is `2'; this program reads version 1\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static uint8_t text_memory[4096], problems_memory[OUT_BYTES];
        struct buf text = BUF_OVER(text_memory), problems = BUF_OVER(problems_memory);
        struct bytes image;
        buf_put_cstr(&text, cases[i].text);
        BUF_LIT(&text, "route r { match any; mx }\n");
        assert_int_equal(load(buf_bytes(&text), &problems, &image), ERR_BAD_VALUE);
        if (!bytes_equal(buf_bytes(&problems), bytes_of_cstr(cases[i].want))) fail_msg("%.*s", (int)problems.len, (const char *)problems_memory);
    }
}

static void test_config_later_blocks_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const later[] = {"milter m { socket s }", "policy p { }", "dkim d.e { selector s }",
        "verify { spf on }", "credentials c { file /x }",
        "metrics { listen x }", "source s { address x }", "pool p { ip1 weight 1 }", "tenant { rate 40/s }", "shaping default { rate 20/s }",
        "on-reply any { code 421 }", "console { socket /x }"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        static uint8_t text_memory[4096], problems_memory[OUT_BYTES];
        struct buf text = BUF_OVER(text_memory), problems = BUF_OVER(problems_memory), want;
        uint8_t want_memory[256];
        struct bytes image, word = bytes_of_cstr(later[i]);
        BUF_LIT(&text, "config-version 1\nroute r { match any; mx }\n");
        buf_put(&text, word);
        want = BUF_OVER(want_memory);
        BUF_LIT(&want, "t:3:1: error: `");
        buf_put(&want, bytes_slice(word, 0, bytes_find(word, ' ')));
        BUF_LIT(&want, "' at the top level is not supported yet\n");
        assert_int_equal(load(buf_bytes(&text), &problems, &image), ERR_BAD_VALUE);
        if (!bytes_equal(buf_bytes(&problems), buf_bytes(&want))) fail_msg("%.*s", (int)problems.len, (const char *)problems_memory);
    }
}

static const char whole_text[] =
    "config-version 1\nhostname MX.Example.org\npostmaster \"\\\"odd name\\\"@example.org\"\n"
    "listen mx { address *:25 192.0.2.1:26; trust local nets; bare-newline normalise; strict; max-connections 5 }\n"
    "route a { match rcpt-domain ours B.example; match client nets; relay smtps://[::1] smtps://b:26 { tls verify }; "
    "source ::1 127.0.0.1; family ipv6; helo a.b }\n"
    "route b { match rcpt x@y.z; reject 550 5.1.1 go  away }\nroute c { match any; maildir \"/m/a b/{domain}\"; rewrite ours more; sub-address + }\n"
    "route m { match rcpt-domain t.example; mx { tls dane encrypt } }\n"
    "table more { entry a \"b c\" }\n"
    "aliases { }\ntable ours { inline c.example A.example a.example }\ntable nets { inline 10.0.0.0/8 2001:db8::/32 }\n"
    "queue { path /q; expire 36h; delay-warning off; retry 1s 2s 90s; max-size 2G }\nlimits { data-rate 1K/s; bounce-size 0 }\n"
    "timeouts { data-block 1500ms }\nworkers { smtp 3; delivery 1 }\nresolver { stub 127.0.0.1 }\nconnect { allow 127.0.0.0/8; mx-port 2525 }\n"
    "auth people { file /users; mechanisms scram-sha-256 external }\nauth dove { dovecot /d }\n"
    "listen sub465 { address *:466; tls implicit; auth dove }\nroute d { match authenticated or local; mx }\n"
    "listen users { socket /run/s; peers root 1000 }\nmail-domain Users.example\n"
    "tls default { certificate /c/a.pem; key /c/a.key; certificate \"/c/b c.pem\"; key /c/b.key; min-version 1.3; tickets off }\n"
    "listen tls { address *:465; tls implicit; max-connections 7 }\nlisten sub { address *:587; tls starttls-required default }\n"
    "masquerade { envelope-from *@*.a.b -> *@a.b; envelope-from x@y.z -> z@y.z }\nsrs { domain s.a.b; secret /s }\n"
    "mailbox { user vmail; create on }\ncontrol { socket /s }\nlog { file /l; ident postfix/x; level trace }\n"
    "sandbox { require all; engine epoll }\nuid-base 70000\n";

static void test_config_values_arrive_in_the_image(void **state)
{
    (void)state;
    static uint8_t memory[OUT_BYTES];
    struct buf problems = BUF_OVER(memory);
    struct bytes image;
    struct bytes text = bytes_of_cstr("config-version 1\n" OK_ROUTE);
    assert_int_equal(load(text, &problems, &image), ERR_NONE);
    const struct config *c = (const struct config *)(const void *)image.ptr;
    assert_int_equal(c->generation, 3);
    assert_int_equal(c->timeouts.connect, 30000);
    assert_int_equal(c->timeouts.data_end, 600000);
    assert_int_equal(c->limits.message_bytes, 50 << 20);
    assert_int_equal(c->queue.expire_s, 5 * 86400);
    assert_int_equal(c->queue.retry_count, 4);
    assert_int_equal(c->queue.retry_s[3], 1800);
    assert_false(c->queue.retry_exact);
    assert_int_equal(c->connect.mx_port, 25);
    assert_false(c->mailbox.create || c->resolver.use_stub || c->sandbox.require_all);
    assert_true(bytes_equal(config_bytes(c, c->control_socket), BYTES("/run/mta/control.sock")));
    assert_true(c->hostname.len > 0 && c->postmaster.len > 5);
    free((void *)(uintptr_t)image.ptr);
}

static void check_route_a(const struct config *c)
{
    const struct config_route *a = CONFIG_ITEMS(c, c->routes, struct config_route);
    const struct config_match *m = CONFIG_ITEMS(c, a->matches, struct config_match);
    const struct config_text *names = CONFIG_ITEMS(c, m[0].names, struct config_text);
    assert_int_equal(a->line, 5);
    assert_int_equal(m[0].names.count, 3);
    assert_true(bytes_equal(config_bytes(c, names[0]), BYTES("a.example")));
    assert_true(bytes_equal(config_bytes(c, names[2]), BYTES("c.example")));
    assert_true(bytes_equal(config_bytes(c, m[0].words), BYTES("ours B.example")));
    assert_int_equal(m[1].prefixes.count, 2);
    assert_int_equal(a->relay_port, 465);
    assert_true(a->relay_is_address && a->relay_address.family == NET_IPV6 && a->relay_address.port == 465 && a->relay_tls_first);
    assert_true(a->source_ipv4.family == NET_IPV4 && a->source_ipv6.family == NET_IPV6);
    assert_int_equal(a->connections_max, c->limits.destination_connections);
}

static void test_config_shown_text_reads_back_the_same(void **state)
{
    (void)state;
    static uint8_t problems_memory[OUT_BYTES], first_memory[OUT_BYTES], second_memory[OUT_BYTES];
    struct buf problems = BUF_OVER(problems_memory), first = BUF_OVER(first_memory), second = BUF_OVER(second_memory);
    struct bytes image, again, text = bytes_of_cstr(whole_text);
    enum err e = load(text, &problems, &image);
    if (e != ERR_NONE) fail_msg("%.*s", (int)problems.len, (const char *)problems_memory);
    const struct config *c = (const struct config *)(const void *)image.ptr;
    assert_true(bytes_equal(config_bytes(c, c->hostname), BYTES("mx.example.org")));
    assert_int_equal(c->limits.data_rate, 1024);
    assert_int_equal(c->limits.bounce_bytes, 0);
    assert_int_equal(c->queue.retry_s[2], 90);
    assert_true(c->queue.retry_exact && c->resolver.use_stub && c->mailbox.create && c->sandbox.require_all);
    assert_int_equal(c->resolver.stub.port, 53);
    assert_int_equal(c->log.target, LOG_TARGET_FILE);
    check_route_a(c);
    config_show(c, &first);
    if (load(buf_bytes(&first), &problems, &again) != ERR_NONE) fail_msg("%.*s", (int)problems.len, (const char *)problems_memory);
    config_show((const struct config *)(const void *)again.ptr, &second);
    assert_false(first.overflow);
    assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    free((void *)(uintptr_t)image.ptr);
    free((void *)(uintptr_t)again.ptr);
}

static void count_warnings(void *context, bool is_error, struct bytes line)
{
    (void)line;
    if (!is_error) ++*(uint32_t *)context;
}

static void test_config_doubtful_texts_are_taken_with_a_warning(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "listen a { address *:25; trust 0.0.0.0/0 }\n" OK_ROUTE,
        "listen a { address *:25 }\n" OK_ROUTE,
        OK_ROUTE,
        "listen a { address *:25; trust local }\nqueue { expire 1h }\n" OK_ROUTE,
        "listen a { address *:25; trust local }\n" OK_ROUTE "route s { match any; discard }",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        static uint8_t memory[4096];
        struct buf text = BUF_OVER(memory);
        uint32_t warnings = 0;
        struct config_problem_sink sink = {count_warnings, &warnings};
        struct bytes image;
        BUF_LIT(&text, "config-version 1\nhostname mx.example.org\n");
        buf_put_cstr(&text, texts[i]);
        assert_int_equal(config_load_text(buf_bytes(&text), "t", 1, &sink, &image), ERR_NONE);
        if (warnings != 1) fail_msg("%s: %u warnings", texts[i], warnings);
        free((void *)(uintptr_t)image.ptr);
    }
}

static void test_config_endless_problems_are_cut(void **state)
{
    (void)state;
    static uint8_t memory[100000], problems_memory[OUT_BYTES];
    struct buf text = BUF_OVER(memory), problems = BUF_OVER(problems_memory);
    struct bytes image;
    BUF_LIT(&text, "config-version 1\n");
    while (buf_room(&text) > 10) BUF_LIT(&text, "x y\n");
    assert_int_equal(load(buf_bytes(&text), &problems, &image), ERR_BAD_VALUE);
    uint32_t lines = 0;
    for (uint32_t i = 0; i < problems.len; i++) lines += problems_memory[i] == '\n';
    assert_int_equal(lines, PROBLEMS_SHOWN_MAX + 1);
}

static void test_config_reference_names_every_key(void **state)
{
    (void)state;
    static uint8_t memory[OUT_BYTES];
    struct buf out = BUF_OVER(memory);
    config_reference(&out);
    assert_false(out.overflow);
    buf_put_c(&out, 0);
    for (uint32_t i = 0; i < config_key_count; i++) {
        char line[128] = ".It Ic ";
        if (config_keys[i].later) continue;
        memcpy(line + 7, config_keys[i].name.ptr, config_keys[i].name.len);
        if (!strstr((const char *)memory, line)) fail_msg("%s", line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_wrong_texts_report_every_problem),
        cmocka_unit_test(test_config_version_must_come_first_and_be_known),
        cmocka_unit_test(test_config_later_blocks_are_refused_by_name),
        cmocka_unit_test(test_config_values_arrive_in_the_image),
        cmocka_unit_test(test_config_shown_text_reads_back_the_same),
        cmocka_unit_test(test_config_doubtful_texts_are_taken_with_a_warning),
        cmocka_unit_test(test_config_endless_problems_are_cut),
        cmocka_unit_test(test_config_reference_names_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
