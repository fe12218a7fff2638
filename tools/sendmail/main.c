/*
 * main - which of its names sendmail was called by, and what it is to do.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "sendmail.h"

int complain(int code, const char *what, struct bytes text)
{
    fprintf(stderr, "sendmail: %s%s%.*s\n", what, text.len ? ": " : "", (int)text.len, (const char *)text.ptr);
    return code;
}

static enum mode mode_of_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strcmp(name, "mailq") == 0) return MODE_QUEUE;
    return strcmp(name, "newaliases") == 0 ? MODE_ALIASES : MODE_SEND;
}

int main(int argc, char **argv)
{
    static struct job job;
    job.mode = argc > 0 ? mode_of_name(argv[0]) : MODE_SEND;
    int code = options_read(&job, argc, argv);
    if (code) return code;
    (void)signal(SIGPIPE, SIG_IGN);
    switch (job.mode) {
    case MODE_SMTP: return speak_smtp(&job);
    case MODE_QUEUE: return show_queue(&job);
    case MODE_ALIASES: return check_aliases(&job);
    case MODE_FLUSH: return flush_queue(&job);
    case MODE_NOTHING: return EX_OK;
    default:
        if (job.recipients.count == 0 && !job.from_header)
            return complain(EX_USAGE, "no recipients; name them behind the options, or say -t", (struct bytes){0});
        return submit(&job);
    }
}
