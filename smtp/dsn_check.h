/*
 * dsn_check - what holds for every report, whatever strangers wrote into it; for the test and the fuzzer of smtp/dsn.h.
 *
 * Counts what it can count and aborts on the rest: a line that does not start with something of ours, a control octet, a
 * long line, an octet over 127 where none belongs.
 */
#ifndef SMTP_DSN_CHECK_H
#define SMTP_DSN_CHECK_H

#include "base/must.h"
#include "smtp/dsn.h"

struct dsn_check {
    uint32_t boundaries, froms, tos, final_recipients, blank_lines;
};

/* What a line outside the returned content may start with; a line of words starts as our sentences do. */
static const struct bytes dsn_line_starts[] = {
    BYTES_INIT(" "), BYTES_INIT("\t"), BYTES_INIT("<"), BYTES_INIT("--bulkhead-"), BYTES_INIT("From: "), BYTES_INIT("To: <"), BYTES_INIT("Subject: "),
    BYTES_INIT("Date: "), BYTES_INIT("Message-ID: <"), BYTES_INIT("Auto-Submitted: auto-replied"), BYTES_INIT("MIME-Version: 1.0"),
    BYTES_INIT("Content-Type: "), BYTES_INIT("Content-Transfer-Encoding: "), BYTES_INIT("This is "), BYTES_INIT("Your message "), BYTES_INIT("It will "),
    BYTES_INIT("You "), BYTES_INIT("If you ask "), BYTES_INIT("taken here at "), BYTES_INIT("and has the number "), BYTES_INIT("to be told."), BYTES_INIT("below."),
    BYTES_INIT("Reporting-MTA: "), BYTES_INIT("Original-Envelope-Id: "), BYTES_INIT("X-Bulkhead-Queue-ID: "), BYTES_INIT("Arrival-Date: "),
    BYTES_INIT("Original-Recipient: "), BYTES_INIT("Final-Recipient: "), BYTES_INIT("Action: "), BYTES_INIT("Status: "), BYTES_INIT("Remote-MTA: "),
    BYTES_INIT("Diagnostic-Code: "), BYTES_INIT("Last-Attempt-Date: "), BYTES_INIT("Will-Retry-Until: "),
};

static inline void dsn_check_line(struct dsn_check *c, struct bytes line, bool utf8)
{
    bool known = line.len == 0;
    must(line.len <= 998);
    const uint32_t starts = sizeof(dsn_line_starts) / sizeof(*dsn_line_starts);
    for (uint32_t i = 0; i < starts && !known; i++) known = bytes_starts(line, dsn_line_starts[i]);
    must(known);
    for (uint32_t i = 0; i < line.len; i++) must(line.ptr[i] == '\t' || (line.ptr[i] >= ' ' && line.ptr[i] != 127));
    must(utf8 ? bytes_is_utf8(line) : bytes_is_ascii(line));
    c->boundaries += bytes_starts(line, BYTES("--bulkhead-"));
    c->froms += bytes_starts(line, BYTES("From: "));
    c->tos += bytes_starts(line, BYTES("To: "));
    c->final_recipients += bytes_starts(line, BYTES("Final-Recipient: "));
    c->blank_lines += line.len == 0;
}

/* dsn_check_text - look at a report's text outside the returned content; every line must end in CR LF. */
static inline struct dsn_check dsn_check_text(struct bytes text, bool utf8)
{
    struct dsn_check c = {0};
    while (text.len > 0) {
        uint32_t lf = bytes_find(text, '\n');
        must(lf < text.len && lf > 0 && text.ptr[lf - 1] == '\r');
        dsn_check_line(&c, bytes_slice(text, 0, lf - 1), utf8);
        text = bytes_from(text, lf + 1);
    }
    return c;
}

#endif
