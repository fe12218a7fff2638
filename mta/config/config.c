/*
 * config - reading an image: every offset is checked against the image's size, so that a wrong one reads as empty.
 */
#include "mta/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    ITEM_ALIGN = 8,                                                  /* of every list in an image */
    SEALS_NEEDED = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,       /* else a reader could be cut short, or meet changing octets */
};

struct bytes config_bytes(const struct config *c, struct config_text t)
{
    if (t.len == 0 || t.offset > c->image_bytes || t.len > c->image_bytes - t.offset) return (struct bytes){0};
    return bytes_of((const uint8_t *)c + t.offset, t.len);
}

const void *config_items(const struct config *c, struct config_list list, uint32_t item_bytes)
{
    uint64_t bytes = (uint64_t)list.count * item_bytes;
    if (list.count == 0 || list.offset % ITEM_ALIGN != 0) return NULL;
    if (list.offset > c->image_bytes || bytes > c->image_bytes - list.offset) return NULL;
    return (const uint8_t *)c + list.offset;
}

enum err config_map(int fd, const struct config **out)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &st) != 0) return err_from_errno(errno);
    if ((seals & SEALS_NEEDED) != SEALS_NEEDED) return ERR_DENIED;
    if (st.st_size < (off_t)sizeof(struct config)) return ERR_SHORT;
    void *mapped = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) return err_from_errno(errno);
    const struct config *c = mapped;
    enum err e = ERR_NONE;
    if (c->magic != CONFIG_MAGIC) e = ERR_BAD_TYPE;
    else if (c->version != CONFIG_IMAGE_VERSION) e = ERR_BAD_VERSION;
    else if (c->image_bytes != (uint64_t)st.st_size) e = ERR_CORRUPT;
    if (e != ERR_NONE) munmap(mapped, (size_t)st.st_size);
    else *out = c;
    return e;
}

bool config_same_shape(const struct config *a, const struct config *b)
{
    return a->listeners.count == b->listeners.count && a->routes.count == b->routes.count && a->tables.count == b->tables.count &&
           a->workers.receivers == b->workers.receivers && a->workers.delivers == b->workers.delivers;
}

void config_unmap(const struct config *c)
{
    if (!c) return;
    union { const void *mapped; void *to_unmap; } image = {c}; /* munmap() takes no const */
    munmap(image.to_unmap, c->image_bytes);
}
