/*
 * tlsa - see smtp/tlsa.h.
 */
#include "smtp/tlsa.h"

#include <assert.h>

#include "base/must.h"

static_assert((int)SMTP_TLSA_RECORDS_MAX <= 32, "a set of records is a u32");

enum { HEAD_BYTES = 3, SHA256_BYTES = 32, SHA512_BYTES = 64 };

bool smtp_tlsa_parse(struct bytes rdata, struct smtp_tlsa *out)
{
    if (rdata.len < HEAD_BYTES) return false;
    *out = (struct smtp_tlsa){rdata.ptr[0], rdata.ptr[1], rdata.ptr[2], bytes_from(rdata, HEAD_BYTES)};
    return true;
}

bool smtp_tlsa_usable(const struct smtp_tlsa *t)
{
    if (t->usage != SMTP_TLSA_TA && t->usage != SMTP_TLSA_EE) return false;
    if (t->selector != SMTP_TLSA_CERTIFICATE && t->selector != SMTP_TLSA_KEY) return false;
    switch (t->matching) {
    case SMTP_TLSA_FULL: return t->data.len > 0 && t->data.len <= SMTP_TLSA_DATA_BYTES_MAX;
    case SMTP_TLSA_SHA256: return t->data.len == SHA256_BYTES;
    case SMTP_TLSA_SHA512: return t->data.len == SHA512_BYTES;
    default: return false;
    }
}

/* is_outdone - whether another usable record says the same with a stronger digest: then this one may be left from before, and is weak. */
static bool is_outdone(const struct smtp_tlsa *records, uint32_t count, const struct smtp_tlsa *t)
{
    if (t->matching == SMTP_TLSA_FULL) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct smtp_tlsa *other = &records[i];
        if (other->usage == t->usage && other->selector == t->selector && other->matching > t->matching && smtp_tlsa_usable(other)) return true;
    }
    return false;
}

enum smtp_tlsa_demand smtp_tlsa_choose(const struct smtp_tlsa *records, uint32_t count, uint32_t *chosen)
{
    must(count <= SMTP_TLSA_RECORDS_MAX);
    *chosen = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (smtp_tlsa_usable(&records[i]) && !is_outdone(records, count, &records[i])) *chosen |= UINT32_C(1) << i;
    }
    return count == 0 ? SMTP_TLSA_NONE : *chosen == 0 ? SMTP_TLSA_ENCRYPT : SMTP_TLSA_VERIFY;
}
