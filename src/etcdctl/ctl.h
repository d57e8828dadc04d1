/*
 * ctl: what every command of etcdctl has at hand: the global flags, the client (made at first use),
 * the output, and the way errors are told.
 *
 * A command is a row of a table: name, words of its command line, help, flags, function. The
 * function gets its flags (a struct whose first member is struct ctl_flags), the words that are no
 * flags, and returns the process's exit code.
 */
#ifndef ETCDCTL_CTL_H
#define ETCDCTL_CTL_H

#include "base/opt.h"
#include "client/client.h"
#include "etcdctl/print.h"
#include "rpc.pb-c.h"

/* The upstream release whose behaviour we follow, as our etcd says of itself: scripts read it. */
#define CTL_VERSION     "3.6.14"
#define CTL_API_VERSION "3.6"

/* Exit codes, as upstream's etcdctl has them. */
enum ctl_exit {
    CTL_OK = 0,
    CTL_ERROR = 1,
    CTL_BAD_CONNECTION = 2,
    CTL_INVALID_INPUT = 3, /* of txn, watch -i: what stood on stdin */
    CTL_BAD_FEATURE = 4,   /* a value or an output format that is not supported */
    CTL_INTERRUPTED = 5,
    CTL_IO = 6,
    CTL_BAD_ARGS = 128,
};

struct ctl_flags {
    char **endpoints;
    uint64_t dial_timeout_ns;
    uint64_t command_timeout_ns;
    uint64_t keepalive_time_ns;
    uint64_t keepalive_timeout_ns;
    char *cacert, *cert, *key;
    bool insecure_transport, insecure_skip_tls_verify;
    char *user, *password;
    char *discovery_srv;
    char *write_out;
    bool hex;
    bool debug;
    uint64_t recv_max;
};

struct ctl {
    const struct ctl_flags *flags;
    const struct opt_set *set;
    char **exec; /* the words behind "--", NULL when there is none; they are in argv too */
    struct client *client; /* ctl_client makes it */
    struct out out;
};

struct command {
    const char *name; /* "lease grant" */
    const char *args; /* "<ttl>" */
    const char *summary;
    const char *text;       /* description and examples; NULL: none */
    const struct opt *rows; /* its own flags; NULL: none */
    size_t flags_size;      /* of its flags struct; 0: just struct ctl_flags */
    int (*run)(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv);
};

/* Tables of the command groups, each ending with name NULL. */
extern const struct command commands_kv[], commands_txn[], commands_watch[], commands_lease[],
    commands_lock[], commands_endpoint[], commands_maintenance[], commands_member[],
    commands_check[], commands_misc[];
/* The commands after command *at (start with NULL), group by group; NULL at the end. */
const struct command *command_next(const struct command *at);
extern const struct opt ctl_global_rows[];

/* --help of one command, and of a group ("lease") or of everything (NULL). */
void help_command(const struct command *c, FILE *f);
void help_group(const char *group, FILE *f);

/* Prints "Error: ..." and returns code. */
int ctl_error(int code, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The exit code a failure of reading arguments has: 4 for ERR_UNIMPLEMENTED, else 128. */
int ctl_bad_args(const struct err *e);

/* The client of --endpoints; errors are printed, the return is NULL and *ret_exit set. */
struct client *ctl_client(struct ctl *ctl, int *ret_exit);
/* One for a single endpoint, not kept: the caller frees it. */
struct client *ctl_client_for(const struct ctl *ctl, const char *endpoint, int *ret_exit);

/* A unary call on ctl's client. ctl_call hands the response over (client_response_free), ctl_call_
 * print prints it. The return is the exit code; failures have been printed. */
struct ctl_call {
    const char *path;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *response;
    bool idempotent;    /* reads */
    const char *failed; /* "failed to grant lease": the error goes in parentheses behind it; NULL:
                           it stands alone */
};
int ctl_call(struct ctl *ctl, const struct ctl_call *call, ProtobufCMessage **ret_response);
int ctl_call_print(struct ctl *ctl, const struct ctl_call *call, enum out_kind kind,
                   const struct out_arg *arg);
/* Prints an answer; the exit code. arg may be NULL. */
int ctl_print(struct ctl *ctl, enum out_kind kind, const ProtobufCMessage *m,
              const struct out_arg *arg);
/* Puts into e the words etcdctl uses for a failed call: the server's text, "rpc error: ..." around
 * it where it is none of etcd's own, "context deadline exceeded". */
void ctl_call_text(struct err *e, int code, int grpc_status);

/* The endpoints to work on: the flag's, or with cluster those the member list names. Owned by the
 * caller (ctl_endpoints_free). NULL: told, *ret_exit set. */
char **ctl_endpoints(struct ctl *ctl, bool cluster, int *ret_exit);
void ctl_endpoints_free(char **endpoints);

static inline void cleanup_response_p(ProtobufCMessage **m)
{
    client_response_free(*m);
}
#define cleanup_response __attribute__((cleanup(cleanup_response_p)))
static inline void cleanup_client_p(struct client **c)
{
    client_free(*c);
}
#define cleanup_client __attribute__((cleanup(cleanup_client_p)))

/* Bytes of a C string in a request; borrowed. */
#define CTL_BYTES(s) ((ProtobufCBinaryData){strlen(s), (uint8_t *)(uintptr_t)(s)})

#endif
