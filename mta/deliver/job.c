/* job - one ATTEMPT in a worker: its copy, its verdicts on their way to the manager. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "mta/deliver/deliver.h"

static struct bytes keep(uint8_t **at, struct bytes text)
{
    struct bytes kept = bytes_of(*at, text.len);
    if (text.len) memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

static bool has_part(const struct deliver *d, const struct ipc_attempt *m) { return d->part.count && d->part.attempt == m->attempt; }

bool job_valid(const struct deliver *d, const struct ipc_attempt *m, int fd)
{
    uint32_t before = has_part(d, m) ? d->part.count : 0;
    if (m->rcpt_count <= before && m->rcpts.len) return false;
    if (m->rcpt_count < before || m->rcpt_count == 0 || m->rcpt_count > BOX_RCPTS_MAX) return false;
    if (rcpt_list_check(m->rcpts, m->rcpt_count - before) != ERR_NONE) return false;
    return fd >= 0 ? m->content.len == 0 : m->content.len == m->body_bytes;
}

struct job *job_make(struct deliver *d, const struct ipc_attempt *m, int fd)
{
    struct bytes before = has_part(d, m) ? bytes_of(d->part.octets, d->part.len) : (struct bytes){0};
    size_t octets = (size_t)m->sender.len + m->envid.len + before.len + m->rcpts.len + m->prefix.len + m->content.len + m->rcpt_count;
    struct job *job = malloc(sizeof *job + octets);
    if (!job) return NULL;
    memset(job, 0, sizeof *job);
    uint8_t *at = job->octets;
    job->attempt = m->attempt;
    job->said.sender = keep(&at, m->sender);
    job->said.envid = keep(&at, m->envid);
    struct bytes list = keep(&at, before);
    list.len += keep(&at, m->rcpts).len;
    job->said.rcpts = list;
    job->said.rcpt_count = m->rcpt_count;
    job->said.flags = m->flags;
    job->said.ret = m->ret;
    job->said.probe = m->probe;
    job->said.content_bytes = m->prefix.len + m->body_bytes;
    job->prefix = keep(&at, m->prefix);
    job->content = keep(&at, m->content);
    job->rcpt_state = at;
    job->body_fd = fd;
    job->body_skip = m->body_skip;
    job->body_bytes = m->body_bytes;
    job->began_us = clock_mono_us();
    return job;
}

void job_free(struct job *job)
{
    if (!job) return;
    if (job->body_fd >= 0) close(job->body_fd);
    free(job);
}

static void send_result(struct deliver *d, const struct ipc_result *r)
{
    struct ipc_channel *manager = process_channel(d->process, ROLE_MANAGER, 0);
    if (manager && ipc_send_result(manager, r, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the manager does not take results: channel full");
}

void job_flush(struct deliver *d, struct session *s, bool last)
{
    struct job *job = s->job;
    if (!job || !job->has_held) return;
    job->has_held = false;
    if (s->orphan) return; /* the box has it; who gave the job is dead */
    struct ipc_result *r = &job->held;
    r->last = last;
    r->connection_uses = s->client.messages;
    r->greeting_us = s->client.messages <= 1 ? s->greeting_us : 0;
    r->transfer_us = (uint32_t)(clock_mono_us() - job->began_us);
    r->dsn_passed = (s->client.caps.set & SMTP_CAP_DSN) != 0;
    send_result(d, r);
}

void job_verdict(void *context, uint32_t first, uint32_t count, const struct verdict *v)
{
    struct session *s = context;
    struct job *job = s->job;
    must(job);
    struct deliver *d = deliver_of_session(s);
    box_rcpts(&d->box, session_slot(d, s), first, count, v);
    if (job->has_held) job_flush(d, s, false);
    uint32_t n = v->text.len < sizeof job->held_text ? v->text.len : (uint32_t)sizeof job->held_text;
    if (n) memcpy(job->held_text, v->text.ptr, n);
    job->held = (struct ipc_result){
        .attempt = job->attempt, .first = first, .count = count, .class = v->class, .scope = v->scope, .step = v->step,
        .maybe_duplicate = v->maybe_duplicate, .remote = v->remote, .code = v->code, .enhanced_class = v->enhanced.class,
        .enhanced_subject = v->enhanced.subject, .enhanced_detail = v->enhanced.detail, .text = bytes_of(job->held_text, n),
    };
    job->has_held = true;
}

void job_untried(struct deliver *d, uint64_t attempt, uint32_t rcpt_count)
{
    struct ipc_result r = {.attempt = attempt, .count = rcpt_count, .last = 1, .class = VERDICT_NONE};
    send_result(d, &r);
}
