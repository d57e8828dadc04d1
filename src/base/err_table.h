/*
 * The one table of project errors: name, gRPC status, HTTP status, exit code, text.
 *
 * Texts that begin with "etcdserver:", "election:" or "mutex:" reach clients byte for byte; clients
 * map errors by them. Where upstream 3.6 answers with gRPC status 2 (Unknown), so do we.
 */
/* clang-format off */
#define ERR_TABLE(X)                                                                                           \
    /* what a client asked for is wrong */                                                                     \
    X(ERR_EMPTY_KEY,            3, 400, 4, "etcdserver: key is not provided")                                  \
    X(ERR_KEY_NOT_FOUND,        3, 400, 4, "etcdserver: key not found")                                        \
    X(ERR_VALUE_PROVIDED,       3, 400, 4, "etcdserver: value is provided")                                    \
    X(ERR_LEASE_PROVIDED,       3, 400, 4, "etcdserver: lease is provided")                                    \
    X(ERR_TOO_MANY_OPS,         3, 400, 4, "etcdserver: too many operations in txn request")                   \
    X(ERR_DUPLICATE_KEY,        3, 400, 4, "etcdserver: duplicate key given in txn request")                   \
    X(ERR_INVALID_SORT,         3, 400, 4, "etcdserver: invalid sort option")                                  \
    X(ERR_REQUEST_TOO_LARGE,    3, 400, 4, "etcdserver: request is too large")                                 \
    X(ERR_COMPACTED,           11, 400, 4, "etcdserver: mvcc: required revision has been compacted")           \
    X(ERR_FUTURE_REV,          11, 400, 4, "etcdserver: mvcc: required revision is a future revision")         \
    X(ERR_LEASE_TTL_TOO_LARGE, 11, 400, 4, "etcdserver: too large lease TTL")                                  \
    X(ERR_LEASE_NOT_FOUND,      5, 404, 4, "etcdserver: requested lease not found")                            \
    X(ERR_LEASE_EXISTS,         9, 400, 4, "etcdserver: lease already exists")                                 \
    X(ERR_MEMBER_NOT_FOUND,     5, 404, 4, "etcdserver: member not found")                                     \
    X(ERR_BAD_TRANSFEREE,       9, 400, 4, "etcdserver: bad leader transferee")                                \
    X(ERR_NOT_ENOUGH_STARTED,   2, 500, 4, "etcdserver: re-configuration failed due to not enough started members") \
    X(ERR_AUTH_NOT_ENABLED,     9, 400, 4, "etcdserver: authentication is not enabled")                        \
    X(ERR_NOT_CAPABLE,          9, 400, 4, "etcdserver: not capable")                                          \
    /* the store's state */                                                                                    \
    X(ERR_NO_SPACE,             8, 429, 4, "etcdserver: mvcc: database space exceeded")                        \
    X(ERR_TOO_MANY_REQUESTS,    2, 500, 4, "etcdserver: too many requests")                                    \
    X(ERR_CORRUPT,             15, 500, 4, "etcdserver: corrupt cluster")                                      \
    X(ERR_NO_LEADER,           14, 503, 4, "etcdserver: no leader")                                            \
    X(ERR_STOPPED,             14, 503, 4, "etcdserver: server stopped")                                       \
    X(ERR_TIMEOUT,             14, 503, 4, "etcdserver: request timed out")                                    \
    X(ERR_WATCH_CANCELED,       1, 499, 4, "etcdserver: watch canceled")                                       \
    X(ERR_REQUEST_CANCELED,     1, 499, 4, "etcdserver: request canceled")                                     \
    X(ERR_ELECTION_NO_LEADER,   2, 500, 4, "election: no leader")                                              \
    X(ERR_ELECTION_NOT_LEADER,  2, 500, 4, "election: not leader")                                             \
    X(ERR_ELECTION_NO_KEY,      2, 500, 4, "\"leader\" field must be provided")                                \
    X(ERR_SESSION_EXPIRED,      2, 500, 4, "mutex: session is expired")                                        \
    /* transport and codecs */                                                                                 \
    X(ERR_MALFORMED,           13, 400, 4, "malformed message")                                                \
    X(ERR_LIMIT,                8, 413, 4, "limit exceeded")                                                   \
    X(ERR_UNIMPLEMENTED,       12, 501, 4, "unknown method")                                                   \
    X(ERR_DEADLINE,             4, 504, 4, "context deadline exceeded")                                        \
    X(ERR_CANCELED,             1, 499, 5, "context canceled")                                                 \
    X(ERR_UNAVAILABLE,         14, 503, 2, "connection error")                                                 \
    /* files */                                                                                                \
    X(ERR_DATA_DAMAGED,        15, 500, 6, "stored data is damaged")                                           \
    X(ERR_TORN_TAIL,           15, 500, 6, "file ends in an unfinished write")                                 \
    X(ERR_FORMAT,              15, 500, 6, "not a file of this format")                                        \
    X(ERR_IN_USE,              14, 503, 6, "in use by another process")                                        \
    /* the operator */                                                                                         \
    X(ERR_USAGE,                3, 400, 3, "invalid arguments")                                                \
    X(ERR_CONFIG,               3, 400, 3, "invalid configuration")                                            \
    X(ERR_INTERNAL,            13, 500, 4, "internal error")
/* clang-format on */
