/*
 * look - what the programs that open many queues share. What the queue has to say goes to standard error.
 */
#ifndef TESTS_CAMPAIGN_LOOK_H
#define TESTS_CAMPAIGN_LOOK_H

#include "queue/queue.h"

/* look_open - a queue in a folder; NULL when it cannot be opened. */
struct queue *look_open(const char *folder);

/* look_until - turns until an event with this cookie; its type, QUEUE_EVENT_NONE when there is none for long. `out` may be NULL. */
uint8_t look_until(struct queue *q, struct queue_event *out, uint64_t cookie);

/* look_problems - how many queue_check() finds; they are said. */
uint64_t look_problems(struct queue *q);

void look_remove(const char *folder);

/* look_settle_memory - for many short lives: page faults are what they cost. */
void look_settle_memory(void);

#endif
