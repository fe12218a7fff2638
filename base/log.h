/*
 * log - lines for people and their tools, in the shapes that Postfix made common.
 *
 * A process collects lines in one buffer and writes them in one go at the end of its loop turn (log_flush), so that a line costs
 * no system call. The descriptor is inherited from the master: standard error, a file opened for append, or a datagram socket to
 * syslog. A reader that does not read never blocks mail: what does not fit is dropped, counted, and said later.
 * Foreign octets must come in through log_bytes() or buf_put_escaped(); there is no format string that a foreigner could reach.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/bytes.h"
#include "base/err.h"

enum log_level { LOG_LEVEL_FATAL = 0, LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_TRACE };
enum log_sink { LOG_SINK_STREAM = 0, LOG_SINK_SYSLOG };

/* What of a foreign text goes into one field. */
enum { LOG_FIELD_BYTES_MAX = 256 };

/*
 * log_open - start logging in this process.
 * In   fd      where lines go; stays open, not owned
 *      sink    a stream takes lines with stamp and host; a syslog datagram takes <PRI>ident[pid]: text
 *      ident   program part, e.g. "mta"; copied (at most 32 octets)
 *      host    host name in stream lines; copied (at most 255 octets, cut at the first dot)
 *      daemon  Postfix's name of the part, e.g. "smtpd", "qmgr"; copied
 */
void log_open(int fd, enum log_sink sink, struct bytes ident, struct bytes host, struct bytes daemon);

/*
 * log_set_fd - lines go to another descriptor from now on (log rotation). It must be of the same kind (file, pipe, socket) as
 *              that of log_open(), since a locked-down process cannot ask.
 */
void log_set_fd(int fd);

/* log_set_level - lines above this level are not written; LOG_LEVEL_INFO at the start. */
void log_set_level(enum log_level most);

/*
 * log_begin - start a line; returns the builder for its text. Always pair with log_end(); nothing in between may log.
 * log_begin_as - the same under another part's name and pid (0 = our own) ("smtp", "bounce"): the manager writes the lines of work that
 *                others did, since it alone knows what is final.
 * Neither puts the level's word into the text ("warning: "): only log_text() and log_err() do. A line is cut at PIPE_BUF octets.
 */
struct buf *log_begin(enum log_level level);
struct buf *log_begin_as(enum log_level level, struct bytes daemon, int pid);
void log_end(void);

/* log_text - one whole line of our own words. For warnings and errors it puts "warning: ", "error: ", "fatal: " in front. */
void log_text(enum log_level level, const char *text);

/* log_err - "<text>: <what>: <sentence of e>"; `what` (a path, a name) is escaped. */
void log_err(enum log_level level, const char *text, struct bytes what, enum err e);

/* log_bytes - append foreign octets, escaped and cut to LOG_FIELD_BYTES_MAX. */
void log_bytes(struct buf *line, struct bytes text);

/* log_flush - write what was collected; called once a loop turn and before exit. Never waits; SIGPIPE must be ignored. */
void log_flush(void);

/* log_dropped - lines dropped since the start. */
uint64_t log_dropped(void);

#endif
