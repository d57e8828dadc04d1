#include "etcdctl/txn_parse.h"

/* Parsed form of a transaction: keys and values are copied once. */
#define TXN_ARENA_MAX (256u * 1024 * 1024)

struct txn_flags {
    struct ctl_flags g;
    bool interactive;
};
static const struct opt txn_rows[] = {OPT_BOOL("interactive", struct txn_flags, interactive,
                                               .letter = 'i',
                                               .help = "Input transaction in interactive mode"),
                                      OPT_END};

static const char *const prompts[] = {
    [TXN_COMPARES] = "compares:",
    [TXN_SUCCESS] = "success requests (get, put, del):",
    [TXN_FAILURE] = "failure requests (get, put, del):",
};

static void prompt(bool interactive, enum txn_block block)
{
    if (interactive && block < TXN_DONE) {
        puts(prompts[block]);
        fflush(stdout);
    }
}

static int bad_line(const struct err *e)
{
    if (e->code == ERR_UNIMPLEMENTED)
        return ctl_error(CTL_BAD_FEATURE, "%s", e->msg);
    return ctl_error(CTL_INVALID_INPUT, "%s", e->msg);
}

static int read_txn(struct txn_parser *p, bool interactive)
{
    cleanup_free char *line = NULL;
    size_t room = 0;
    struct err e;

    prompt(interactive, p->block);
    while (p->block != TXN_DONE) {
        enum txn_block before = p->block;
        ssize_t n = getline(&line, &room, stdin);
        if (n <= 0 || line[n - 1] != '\n')
            return ctl_error(CTL_INVALID_INPUT, "EOF");
        if (txn_parser_line(p, slice_of(line, (size_t)n), &e) < 0)
            return bad_line(&e);
        if (p->block != before)
            prompt(interactive, p->block);
    }
    return CTL_OK;
}

static int run_txn(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct txn_flags *f = (const void *)flags;
    struct txn_parser parser;
    struct arena arena;

    if (argc != 0)
        return ctl_error(CTL_BAD_ARGS, "txn command does not accept argument");
    arena_init(&arena, TXN_ARENA_MAX);
    txn_parser_init(&parser, &arena);
    int code = read_txn(&parser, f->interactive);
    if (code == CTL_OK) {
        const struct ctl_call call = {
            .path = "/etcdserverpb.KV/Txn",
            .request = &parser.request.base,
            .response = &etcdserverpb__txn_response__descriptor,
        };
        code = ctl_call_print(ctl, &call, OUT_TXN, NULL);
    }
    arena_deinit(&arena);
    return code;
}

const struct command commands_txn[] = {
    {"txn", "", "Txn processes all the requests in one transaction",
     "Reads a transaction from standard input and applies it as one atomic step: conditions,\n"
     "requests to apply if all of them hold, requests to apply otherwise, each block ended by an\n"
     "empty line.\n\n"
     "$ etcdctl txn -i\n"
     "compares:\n"
     "mod(\"key1\") > \"0\"\n\n"
     "success requests (get, put, del):\n"
     "put key1 \"overwrote-key1\"\n\n"
     "failure requests (get, put, del):\n"
     "put key1 \"created-key1\"\n"
     "put key2 \"some extra key\"\n\n"
     "Targets are ver, create, mod, value and lease; operators = != < >.\n",
     txn_rows, sizeof(struct txn_flags), run_txn},
    {.name = NULL}};
