/*
 * remote - who signs for the keys that are not here. Private to this folder.
 */
#ifndef MTA_TLS_REMOTE_H
#define MTA_TLS_REMOTE_H

#include "mta/tls/server.h"

/* tls_remote_open - all remote keys of this process sign so. */
void tls_remote_open(tls_sign_fn *how, void *context);

#endif
