/*
 * queue - what sendmail does beside sending: show the queue, try it now, look the aliases over. The queue is asked for as mtactl(1) does.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "sendmail.h"
#include "smtp/alias.h"
#include "tools/mtactl/mtactl.h"

/* code_of - sysexits of an exit code of mtactl. */
static int code_of(int admin)
{
    switch (admin) {
    case ADMIN_OK: case ADMIN_NEGATIVE: return EX_OK;
    case ADMIN_USAGE: return EX_USAGE;
    case ADMIN_UNREACHABLE: return EX_UNAVAILABLE;
    case ADMIN_REFUSED: return EX_NOPERM;
    default: return EX_TEMPFAIL;
    }
}

int usage(const char *text, const char *word)
{
    return complain(ADMIN_USAGE, text, bytes_of_cstr(word ? word : ""));
}

int show_queue(const struct job *j)
{
    static struct ctl c;
    c.config = j->config;
    c.format = FORMAT_MAILQ;
    return code_of(command_queue_list(&c, NULL, 0));
}

int flush_queue(const struct job *j)
{
    static struct ctl c;
    struct ending end = {0};
    c.config = j->config;
    c.ask.verb = ADMIN_QUEUE_FLUSH;
    if (j->flush_id && !message_id_parse(bytes_of_cstr(j->flush_id), &c.ask.message))
        return complain(EX_USAGE, "this is no queue id", bytes_of_cstr(j->flush_id));
    if (j->flush_site) c.ask.domain = bytes_of_cstr(j->flush_site);
    return code_of(link_ask(&c, &c.ask, NULL, NULL, &end));
}

/* ---- newaliases ---- */

#define ALIASES_DEFAULT "/etc/aliases"

/* report_aliases - every line that cannot be read; whether there was none. */
static bool report_aliases(const char *path, struct bytes text)
{
    struct smtp_alias_reader r;
    struct bytes value;
    bool good = true;
    smtp_alias_init(&r, text, false);
    for (enum smtp_alias_event e = smtp_alias_next(&r, &value); e != SMTP_ALIAS_END; e = smtp_alias_next(&r, &value)) {
        if (e != SMTP_ALIAS_BAD) continue;
        good = false;
        fprintf(stderr, "%s:%u: %.*s\n", path, r.line, (int)value.len, (const char *)value.ptr);
    }
    return good;
}

int check_aliases(const struct job *j)
{
    const char *path = j->aliases ? j->aliases : ALIASES_DEFAULT;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && !j->aliases) return EX_OK; /* a host without aliases has nothing to be made new */
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0) return complain(EX_NOINPUT, strerror(errno), bytes_of_cstr(path));
    close(fd);
    struct grown text = input_read();
    return report_aliases(path, grown_bytes(&text)) ? EX_OK : EX_DATAERR;
}
