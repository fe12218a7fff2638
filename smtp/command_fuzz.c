/*
 * Fuzzer of command lines: arguments that are taken are safe to pass on, and nothing is taken that was not offered.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_no_control(struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) must(text.ptr[i] > ' ' && text.ptr[i] != 127);
}

/* check_inside - a slice that is said to borrow from the line does. */
static void check_inside(struct bytes line, struct bytes part)
{
    if (part.len > 0) must(part.ptr >= line.ptr && part.ptr + part.len <= line.ptr + line.len);
}

static void check_mail(struct bytes rest, bool extended)
{
    struct smtp_mail_args args;
    if (smtp_mail_parse(rest, extended, &args) != SMTP_ARG_OK) return;
    must(extended || (!args.size_given && !args.body_8bit && !args.smtputf8 && args.ret == RET_DEFAULT && args.envid.len == 0));
    must(args.smtputf8 || !args.sender.non_ascii);
    must(args.ret <= RET_HDRS && args.envid.len <= MAIL_ENVID_BYTES_MAX);
    must(args.size_given || args.size_bytes == 0);
    must(smtp_xtext_valid(args.envid));
    check_inside(rest, args.envid);
    check_no_control(args.envid);
}

static void check_rcpt(struct bytes rest, bool extended, bool smtputf8)
{
    struct smtp_rcpt_args args;
    if (smtp_rcpt_parse(rest, extended, smtputf8, &args) != SMTP_ARG_OK) return;
    must(args.address.whole.len > 0);
    must(smtputf8 || (!args.address.non_ascii && bytes_is_ascii(args.orcpt)));
    must(extended || (args.notify == 0 && args.orcpt.len == 0));
    must(!(args.notify & NOTIFY_NEVER) || args.notify == NOTIFY_NEVER);
    check_inside(rest, args.orcpt);
    check_no_control(args.orcpt);

    /* What was taken must fit the recipient list. */
    static uint8_t memory[RCPT_ENTRY_BYTES_MAX];
    struct buf list = BUF_OVER(memory);
    struct rcpt r = {.notify = args.notify, .address = args.address.whole, .orcpt = args.orcpt};
    rcpt_put(&list, &r);
    must(!list.overflow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8192) return 0;
    struct bytes line = bytes_of(data + 1, (uint32_t)size - 1), rest;
    struct smtp_bdat_args bdat;
    enum smtp_verb verb = smtp_verb_parse(line, &rest);
    must(verb < SMTP_VERB_COUNT && smtp_verb_name(verb) != NULL);
    check_inside(line, rest);
    check_mail(rest, data[0] & 1);
    check_mail(line, data[0] & 1);
    check_rcpt(rest, data[0] & 1, data[0] & 2);
    check_rcpt(line, data[0] & 1, data[0] & 2);
    (void)smtp_bdat_parse(rest, &bdat);
    if (smtp_helo_valid(rest)) check_no_control(rest);
    return 0;
}
