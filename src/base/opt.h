/*
 * opt: options as a table. One row gives a flag, its environment variable, its key in a config
 * file, type, default, bounds, unit and help text; from it come parsing, checking and --help.
 *
 *     struct conf { char *name; uint64_t quota; bool pre_vote; uint64_t tick_ms; };
 *     static const struct opt rows[] = {
 *         OPT_STR("name", struct conf, name, .def = "default", .help = "Human-readable name"),
 *         OPT_U64("quota-backend-bytes", struct conf, quota, .def = "0", .unit = "bytes", ...),
 *         OPT_END
 *     };
 *
 * Flags parse as Go's flag package does and GNU users expect: --x v, --x=v, -x v, -x=v; booleans
 * --x, --x=false; a letter with its value attached: -wjson; "--" ends flags. Values are checked
 * against type and bounds, and the error says what was expected, found and allowed; an unknown flag
 * gets the nearest known one ("did you mean").
 *
 * Strings stored by opt are owned by the target struct's opt_free.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include "base/err.h"

enum opt_type {
    OPT_TYPE_END,
    OPT_TYPE_BOOL,     /* bool */
    OPT_TYPE_STR,      /* char * */
    OPT_TYPE_U64,      /* uint64_t, decimal or 0x */
    OPT_TYPE_I64,      /* int64_t */
    OPT_TYPE_HEX,      /* uint64_t, hexadecimal without 0x (lease and member ids) */
    OPT_TYPE_DURATION, /* uint64_t nanoseconds: Go durations "1h2m3.5s", "100ms" */
    OPT_TYPE_MS,       /* uint64_t milliseconds: bare number */
    OPT_TYPE_ENUM,     /* int: index into the NULL-terminated choices */
    OPT_TYPE_LIST,     /* char **: strings of repeated or comma-separated values, NULL-terminated;
                          NULL when never set */
    OPT_TYPE_IGNORED,  /* accepted, checked for nothing, not stored: upstream flags with no effect
                          here; the caller is told through opt_given */
};

struct opt {
    const char *name; /* without dashes; also the config-file key */
    char letter;      /* single-letter form, or 0 */
    enum opt_type type;
    size_t offset;              /* of the field in the target struct */
    const char *def;            /* text as on the command line; NULL: zero value */
    int64_t min, max;           /* numbers; durations in ns. Both 0: the whole range of the type;
                                   max below min: no upper bound */
    const char *unit;           /* for help: "ms", "bytes" ... */
    const char *const *choices; /* OPT_TYPE_ENUM */
    const char *help;           /* one line */
    const char *arg;            /* placeholder in help; NULL: from the type. Of an ignored flag also
                                   whether it takes a value: "" never, any other word always; NULL:
                                   what follows is its value unless it begins with a dash */
    bool hidden;                /* parsed, not listed */
    bool replace; /* OPT_TYPE_LIST: a repeated flag replaces the list (Go's flag package) instead of
                     adding to it */
};

#define OPT_ROW(t, n, st, field, ...)                                                              \
    {                                                                                              \
        .name = n, .type = t, .offset = offsetof(st, field), __VA_ARGS__                           \
    }
#define OPT_BOOL(...)     OPT_ROW(OPT_TYPE_BOOL, __VA_ARGS__)
#define OPT_STR(...)      OPT_ROW(OPT_TYPE_STR, __VA_ARGS__)
#define OPT_U64(...)      OPT_ROW(OPT_TYPE_U64, __VA_ARGS__)
#define OPT_I64(...)      OPT_ROW(OPT_TYPE_I64, __VA_ARGS__)
#define OPT_HEX(...)      OPT_ROW(OPT_TYPE_HEX, __VA_ARGS__)
#define OPT_DURATION(...) OPT_ROW(OPT_TYPE_DURATION, __VA_ARGS__)
#define OPT_MS(...)       OPT_ROW(OPT_TYPE_MS, __VA_ARGS__)
#define OPT_ENUM(...)     OPT_ROW(OPT_TYPE_ENUM, __VA_ARGS__)
#define OPT_LIST(...)     OPT_ROW(OPT_TYPE_LIST, __VA_ARGS__)
#define OPT_IGNORED(n, ...)                                                                        \
    {                                                                                              \
        .name = n, .type = OPT_TYPE_IGNORED, __VA_ARGS__                                           \
    }
#define OPT_END                                                                                    \
    {                                                                                              \
        .type = OPT_TYPE_END                                                                       \
    }

#define OPT_ROWS_MAX 256 /* rows in one table: source[] below; upstream's etcd has about 130 */

/* Where a value came from. Later ones win, except that some programs refuse flag plus env. */
enum opt_source { OPT_FROM_DEFAULT, OPT_FROM_FILE, OPT_FROM_ENV, OPT_FROM_FLAG };

struct opt_set {
    const struct opt *rows;
    void *target;
    const char *env_prefix;       /* "ETCD_", or NULL: no environment */
    uint8_t source[OPT_ROWS_MAX]; /* enum opt_source by row */
};

/* Stores every default into target (zeroed by the caller). Asserts on a bad table. */
void opt_init(struct opt_set *s, const struct opt *rows, void *target, const char *env_prefix);
/* Frees the strings and lists in the target. */
void opt_free(struct opt_set *s);

/* Consumes the flags in argv[1..argc): fills ret_args (room for argc pointers) with the words that
 * are no flags, in order, and their count. stop_at_word: end at the first such word and return the
 * rest unparsed (sub-commands). "--" ends flags and is itself dropped, unless stop_at_word left it
 * in the rest. "-h"/"--help" sets *ret_help, and what is wrong after it is no error. 0 or
 * ERR_USAGE. */
int opt_parse_args(struct opt_set *s, int argc, char **argv, bool stop_at_word, char **ret_args,
                   int *ret_nargs, bool *ret_help, struct err *e);
/* Reads PREFIX + NAME (upper case, '-' as '_') for each row; an empty variable counts as unset, as
 * upstream has it. A variable beside a given flag of the same name is ERR_USAGE when
 * conflict_is_error, otherwise the flag wins. */
int opt_parse_env(struct opt_set *s, char **environ_, bool conflict_is_error, struct err *e);
/* The next variable after *pos (0 at first) that begins with the prefix and names no row, for a
 * warning; NULL at the end. */
const char *opt_env_unknown(const struct opt_set *s, char **environ_, size_t *pos);
/* One `key: value` from a config file. A value from a later source stands and is not replaced; the
 * text is checked all the same. Lists: the same source again appends,
 * but for the environment. Durations from a file may be a bare number of nanoseconds, as upstream's
 * are. 0, ERR_USAGE, or ERR_KEY_NOT_FOUND when no row has that name. */
int opt_set_value(struct opt_set *s, const char *name, const char *value, enum opt_source from,
                  struct err *e);
/* The row of that name, or NULL; its index in s->rows is that of s->source. */
const struct opt *opt_find(const struct opt_set *s, const char *name);
/* Both assert that the name is a row's. */
bool opt_given(const struct opt_set *s, const char *name); /* not from a default */
enum opt_source opt_source_of(const struct opt_set *s, const char *name);

/* The option lines of --help, aligned, to out. */
void opt_print_help(const struct opt *rows, FILE *out);
/* The name in the NULL-terminated list nearest to word (fewest typos: a letter more, less, other,
 * or two swapped), or NULL when none is near. */
const char *opt_did_you_mean(const char *word, const char *const *names);
/* "1h2m3.5s" to nanoseconds: 0 or -EINVAL. Negative durations are refused. */
int opt_parse_duration(const char *s, uint64_t *ret_ns);

#endif
