/*
 * limits: every bound of the protocols, each with its reason. Bounds a user may want to move are
 * flags of the program that serves; these are their defaults and the ones nobody should move.
 */
#ifndef WIRE_LIMITS_H
#define WIRE_LIMITS_H

#define LIMIT_REQUEST_BYTES (1536u * 1024) /* upstream's --max-request-bytes; one log entry */
#define LIMIT_GRPC_OVERHEAD                                                                        \
    (512u * 1024) /* upstream accepts a message this much larger, then                             \
                     answers "request is too large" itself */
#define LIMIT_RESPONSE_BYTES (512u * 1024 * 1024) /* one answer; beyond it paging is the way */
#define LIMIT_ARENA_BYTES                                                                          \
    (64u * 1024 * 1024) /* decoded form of one request: many tiny fields grow about 20-fold */

#define LIMIT_HEADER_BYTES                                                                         \
    (16u * 1024)                         /* all header fields of one request; tokens fit 40 times  \
                                          */
#define LIMIT_HEADER_COUNT   64          /* real clients send about ten */
#define LIMIT_REQUEST_LINE   (8u * 1024) /* method, target, version */
#define LIMIT_HTTP1_BODY     (2u * 1024 * 1024) /* a JSON twin of the largest request */
#define LIMIT_HTTP1_PIPELINE 16 /* requests parsed ahead of the answer being written */

#define LIMIT_CONNECTIONS  10000 /* open sockets; the process limit is raised to fit */
#define LIMIT_STREAMS      1000  /* concurrent on one connection; clients queue beyond it */
#define LIMIT_STREAM_QUEUE (4u * 1024 * 1024) /* answer bytes a slow reader may leave waiting */
#define LIMIT_CONN_QUEUE                                                                           \
    (16u * 1024 * 1024) /* the same for all streams of a connection;                               \
                           beyond it we stop reading from that peer */
#define LIMIT_CONN_REQUESTS                                                                        \
    (64u * 1024 * 1024) /* request bytes one connection may have in our memory, whole              \
                           or in part: 1000 streams of 64 KiB */
#define LIMIT_RESETS_PER_S                                                                         \
    200                            /* streams a peer may reset per second before the connection is \
                                      closed (rapid reset, CVE-2023-44487); burst: 5 seconds' worth */
#define LIMIT_CONTROL_PER_S  1000  /* PING and SETTINGS a peer may send per second */
#define LIMIT_HANDSHAKE_MS   10000 /* TLS handshake and first request bytes */
#define LIMIT_HEADERS_MS     20000 /* from the first byte of a request to its last (slow loris) */
#define LIMIT_HTTP1_IDLE_MS  120000 /* keep-alive connection without a request */
#define LIMIT_WRITE_STALL_MS 60000  /* peer that takes no byte of a waiting answer */

#endif
