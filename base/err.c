/*
 * err - texts of the error list, and the way from errno into it.
 */
#include "base/err.h"

#include <errno.h>
#include <stddef.h>

#define ERR_TEXT(name, retryable, text) text,
static const char *const texts[ERR_COUNT] = {ERR_LIST(ERR_TEXT)};

#define ERR_RETRYABLE(name, retryable, text) retryable,
static const bool retryables[ERR_COUNT] = {ERR_LIST(ERR_RETRYABLE)};

const char *err_text(enum err e)
{
    return (size_t)e < ERR_COUNT ? texts[e] : "unknown error";
}

bool err_retryable(enum err e)
{
    return (size_t)e < ERR_COUNT && retryables[e];
}

enum err err_from_errno(int error_number)
{
    switch (error_number) {
    case 0: return ERR_NONE;
    case EAGAIN:
    case EINTR:
    case EINPROGRESS: return ERR_AGAIN;
    case EMFILE:
    case ENFILE:
    case ENOBUFS: return ERR_FULL;
    case ENOMEM: return ERR_NO_MEMORY;
    case ENOSPC:
    case EDQUOT: return ERR_NO_SPACE;
    case EIO:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN: return ERR_IO;
    case ENOENT:
    case ENOTDIR:
    case ESRCH: return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY: return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS: return ERR_DENIED;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT: return ERR_UNSUPPORTED;
    case ENAMETOOLONG:
    case EFBIG:
    case EMSGSIZE:
    case E2BIG: return ERR_TOO_LONG;
    case EBADF: return ERR_BAD_DESCRIPTOR;
    case EINVAL:
    case ERANGE: return ERR_BAD_VALUE;
    case EBUSY:
    case EADDRINUSE:
    case ETXTBSY: return ERR_BUSY;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
    case ECONNABORTED:
    case ENOTCONN: return ERR_GONE;
    case ETIMEDOUT: return ERR_TIMEOUT;
    default: return ERR_SYSTEM;
    }
}
