/* crash_rows - what mtactl asks about records of crashes. */
#include "mta/manager/boxes.h"
#include "mta/manager/operate.h"

void crashes_answer(const struct ipc_admin *m, struct buf *memory, bool (*row)(void *context, const struct buf *json), void *context, struct ipc_admin_end *end)
{
    uint64_t number = m->number ? m->number - 1 : m->cursor;
    uint32_t before = memory->len;
    for (const struct crash *c = crash_at(number, &number); c; c = crash_at(number, &number)) {
        if (m->number && number != m->number) return;
        if (m->verb == ADMIN_CRASH_CLEAR) {
            if (!m->dry_run && !crash_remove(number)) end->left++;
        } else {
            memory->len = before;
            crash_row(memory, number, c, m->verb == ADMIN_CRASH_SHOW);
            if (!row(context, memory)) return;
        }
        end->messages++;
        if (m->limit && end->messages >= m->limit) return;
    }
}
