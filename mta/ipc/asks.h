/*
 * asks - what a receiver asks the acceptor, which alone knows the counts of all receivers (CLIENT_ASK).
 */
#ifndef MTA_IPC_ASKS_H
#define MTA_IPC_ASKS_H

enum client_ask { CLIENT_ASK_NONE = 0, CLIENT_ASK_COME, CLIENT_ASK_MESSAGE, CLIENT_ASK_RECIPIENT };

#endif
