/*
 * member_id: a member's and a cluster's id, made as upstream makes them, so that tools that compute
 * them agree.
 */
#ifndef ETCD_MEMBER_ID_H
#define ETCD_MEMBER_ID_H

#include <stdint.h>

/* The first 8 bytes (big endian) of SHA-1 over the sorted peer URLs, joined by nothing, and the
 * cluster's token. urls is NULL-terminated. */
uint64_t member_id_make(char *const *peer_urls, const char *cluster_token);
/* The same over the ids of the members in ascending order: here the one. */
uint64_t cluster_id_make(uint64_t member_id);

#endif
