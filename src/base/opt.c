#include "base/opt_internal.h"

#include "base/slice.h"

#include <ctype.h>
#include <stdio.h>

#define NAME_MAX_LEN 64 /* longest row name, so that messages and variables fit fixed memory */
#define PLACE_MAX    (NAME_MAX_LEN + 48)

static size_t index_of(const struct opt_set *s, const struct opt *row)
{
    return (size_t)(row - s->rows);
}

static void assert_row(const struct opt_set *s, const struct opt *row)
{
    assert(row->name);
    assert(strlen(row->name) <= NAME_MAX_LEN);
    assert(index_of(s, row) < OPT_ROWS_MAX);
    assert(opt_find(s, row->name) == row); /* no name twice */
    if (row->type == OPT_TYPE_ENUM)
        assert(row->choices);
}

void opt_init(struct opt_set *s, const struct opt *rows, void *target, const char *env_prefix)
{
    *s = (struct opt_set){.rows = rows, .target = target, .env_prefix = env_prefix};
    for (const struct opt *row = rows; row->type != OPT_TYPE_END; row++) {
        struct opt_place place = {OPT_FROM_DEFAULT, row->name};
        assert_row(s, row);
        if (!row->def || row->type == OPT_TYPE_IGNORED)
            continue;
        int r = opt_value_store(row, target, row->def, false, &place, NULL);
        assert(r == 0);
    }
}

void opt_free(struct opt_set *s)
{
    for (const struct opt *row = s->rows; row->type != OPT_TYPE_END; row++)
        opt_value_free(row, s->target);
}

static const struct opt *find_n(const struct opt_set *s, struct slice name)
{
    for (const struct opt *row = s->rows; row->type != OPT_TYPE_END; row++)
        if (slice_eq_str(name, row->name))
            return row;
    return NULL;
}

const struct opt *opt_find(const struct opt_set *s, const char *name)
{
    return find_n(s, slice_str(name));
}

static const struct opt *find_letter(const struct opt_set *s, char letter)
{
    for (const struct opt *row = s->rows; row->type != OPT_TYPE_END; row++)
        if (row->letter && row->letter == letter)
            return row;
    return NULL;
}

enum opt_source opt_source_of(const struct opt_set *s, const char *name)
{
    const struct opt *row = opt_find(s, name);

    assert(row);
    return s->source[index_of(s, row)];
}

bool opt_given(const struct opt_set *s, const char *name)
{
    return opt_source_of(s, name) != OPT_FROM_DEFAULT;
}

/* Stores a value unless one from a later source stands; checks it either way. */
static int give(struct opt_set *s, const struct opt *row, const char *value,
                const struct opt_place *place, struct err *e)
{
    uint8_t *source = &s->source[index_of(s, row)];

    if (*source > place->from) {
        /* Checked against memory of its own: enough for every field type. */
        struct opt probe = *row;
        _Alignas(8) char scratch[8] = {0};
        probe.offset = 0;
        int r = opt_value_store(&probe, scratch, value, false, place, e);
        opt_value_free(&probe, scratch);
        return r;
    }
    /* Repeated flags and keys gather; a variable stands once and may be read again. */
    bool append = *source == place->from && place->from != OPT_FROM_ENV && !row->replace;
    int r = opt_value_store(row, s->target, value, append, place, e);
    if (r == 0)
        *source = (uint8_t)place->from;
    return r;
}

static const char *nearest_row(const struct opt_set *s, const char *word)
{
    struct opt_nearest n;

    opt_nearest_init(&n, word);
    for (const struct opt *row = s->rows; row->type != OPT_TYPE_END; row++)
        if (!row->hidden)
            opt_nearest_offer(&n, row->name);
    return opt_nearest_get(&n);
}

int opt_set_value(struct opt_set *s, const char *name, const char *value, enum opt_source from,
                  struct err *e)
{
    const struct opt *row = opt_find(s, name);
    char text[PLACE_MAX];

    if (!row) {
        const char *near = nearest_row(s, name);
        return err_set(e, ERR_KEY_NOT_FOUND, "unknown key '%.*s'%s%s%s", NAME_MAX_LEN, name,
                       near ? "; did you mean '" : "; see --help for the known ones",
                       near ? near : "", near ? "'?" : "");
    }
    snprintf(text, sizeof text, "'%s'", name);
    return give(s, row, value, &(struct opt_place){from, text}, e);
}

/* One pass over the command line. */
struct args {
    struct opt_set *s;
    int argc;
    char **argv;
    int next; /* the word after the one at hand */
};

static int unknown_flag(const struct opt_set *s, const char *word, struct slice name, struct err *e)
{
    char text[NAME_MAX_LEN + 1] = "";

    if (name.n <= NAME_MAX_LEN)
        memcpy(text, name.p, name.n);
    const char *near = nearest_row(s, text);
    return err_set(e, ERR_USAGE, "unknown flag '%.*s'%s%s%s", NAME_MAX_LEN, word,
                   near ? "; did you mean '--" : "; --help lists the known ones", near ? near : "",
                   near ? "'?" : "");
}

/* The value that stands in the flag's own word ("=v"), the next word, or what a bare flag means. */
static const char *take_value(struct args *a, const struct opt *row, const char *attached)
{
    if (attached)
        return attached;
    if (row->type == OPT_TYPE_BOOL)
        return "true";
    if (row->type == OPT_TYPE_IGNORED && (!row->arg || !*row->arg)) {
        bool taken = !row->arg && a->next < a->argc && a->argv[a->next][0] != '-';
        return taken ? a->argv[a->next++] : "";
    }
    return a->next < a->argc ? a->argv[a->next++] : NULL;
}

static int give_flag(struct args *a, const struct opt *row, const char *flag, const char *attached,
                     struct err *e)
{
    struct opt_place place = {OPT_FROM_FLAG, flag};
    const char *value = take_value(a, row, attached);

    if (!value)
        return err_set(e, ERR_USAGE, "%s: expected a value, found the end; write %s=VALUE", flag,
                       flag);
    return give(a->s, row, value, &place, e);
}

/* -w json, -w=json, -wjson. Only words that name no row come here. */
static int parse_letter(struct args *a, const char *word, const struct opt *row, struct err *e)
{
    const char *rest = word + 2;
    char flag[3] = {'-', word[1], 0};

    if (*rest && *rest != '=' && (row->type == OPT_TYPE_BOOL || row->type == OPT_TYPE_IGNORED))
        return unknown_flag(a->s, word, slice_str(word + 1), e);
    return give_flag(a, row, flag, *rest == '=' ? rest + 1 : *rest ? rest : NULL, e);
}

static bool asks_help(struct slice name)
{
    return slice_eq_str(name, "help") || slice_eq_str(name, "h");
}

/* 0, or 1 when help is asked for. */
static int parse_flag(struct args *a, const char *word, struct err *e)
{
    const char *body = word + 1 + (word[1] == '-');
    struct slice name = slice_of(body, strcspn(body, "="));
    char flag[PLACE_MAX];

    if (name.n == 0 || *body == '-')
        return err_set(e, ERR_USAGE,
                       "bad flag '%.*s': expected --name, --name=value or --name value; "
                       "after '--' words that begin with a dash are arguments",
                       NAME_MAX_LEN, word);
    const struct opt *row = find_n(a->s, name);
    const struct opt *by_letter = word[1] != '-' ? find_letter(a->s, *body) : NULL;
    if (!row && by_letter)
        return parse_letter(a, word, by_letter, e);
    if (!row)
        return asks_help(name) ? 1 : unknown_flag(a->s, word, name, e);
    snprintf(flag, sizeof flag, "--%s", row->name);
    return give_flag(a, row, flag, body[name.n] == '=' ? body + name.n + 1 : NULL, e);
}

/* Everything from word on goes to the rest. */
static void take_rest(struct args *a, int from, char **ret_args, int *ret_nargs)
{
    for (int i = from; i < a->argc; i++)
        ret_args[(*ret_nargs)++] = a->argv[i];
}

int opt_parse_args(struct opt_set *s, int argc, char **argv, bool stop_at_word, char **ret_args,
                   int *ret_nargs, bool *ret_help, struct err *e)
{
    struct args a = {s, argc, argv, 1};

    *ret_nargs = 0;
    *ret_help = false;
    while (a.next < argc) {
        char *word = argv[a.next++];
        if (strcmp(word, "--") == 0) {
            take_rest(&a, a.next, ret_args, ret_nargs);
            return 0;
        }
        if (word[0] != '-' || !word[1]) {
            if (stop_at_word) {
                take_rest(&a, a.next - 1, ret_args, ret_nargs);
                return 0;
            }
            ret_args[(*ret_nargs)++] = word;
            continue;
        }
        /* Who asks for help is not told about mistakes further on. */
        int r = parse_flag(&a, word, *ret_help ? NULL : e);
        if (r < 0)
            return *ret_help ? 0 : r;
        *ret_help |= r == 1;
    }
    return 0;
}

/* PREFIX + NAME of a row. */
static void env_name(const struct opt_set *s, const struct opt *row, char *out, size_t size)
{
    snprintf(out, size, "%s%s", s->env_prefix, row->name);
    for (char *c = out + strlen(s->env_prefix); *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

/* The value of NAME=value when entry is that variable. */
static const char *env_value(const char *entry, const char *name)
{
    size_t n = strlen(name);

    return strncmp(entry, name, n) == 0 && entry[n] == '=' ? entry + n + 1 : NULL;
}

static const char *env_get(char **environ_, const char *name)
{
    for (; *environ_; environ_++) {
        const char *value = env_value(*environ_, name);
        if (value)
            return *value ? value : NULL;
    }
    return NULL;
}

static int give_env(struct opt_set *s, const struct opt *row, const char *name, const char *value,
                    bool conflict_is_error, struct err *e)
{
    char text[PLACE_MAX + 24];
    bool conflict = s->source[index_of(s, row)] == OPT_FROM_FLAG;

    /* The first words are upstream's, which people search for. */
    if (conflict && conflict_is_error)
        return err_set(e, ERR_USAGE,
                       "conflicting environment variable %s is shadowed by corresponding "
                       "command-line flag --%s; unset the variable or leave out the flag",
                       name, row->name);
    if (conflict)
        return 0;
    snprintf(text, sizeof text, "environment variable %s", name);
    return give(s, row, value, &(struct opt_place){OPT_FROM_ENV, text}, e);
}

int opt_parse_env(struct opt_set *s, char **environ_, bool conflict_is_error, struct err *e)
{
    char name[PLACE_MAX];

    if (!s->env_prefix)
        return 0;
    for (const struct opt *row = s->rows; row->type != OPT_TYPE_END; row++) {
        env_name(s, row, name, sizeof name);
        const char *value = env_get(environ_, name);
        int r = value ? give_env(s, row, name, value, conflict_is_error, e) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static bool env_known(const struct opt_set *s, const char *entry)
{
    char name[PLACE_MAX];

    for (const struct opt *row = s->rows; row->type != OPT_TYPE_END; row++) {
        env_name(s, row, name, sizeof name);
        if (env_value(entry, name))
            return true;
    }
    return false;
}

const char *opt_env_unknown(const struct opt_set *s, char **environ_, size_t *pos)
{
    if (!s->env_prefix)
        return NULL;
    while (environ_[*pos]) {
        const char *entry = environ_[(*pos)++];
        if (strncmp(entry, s->env_prefix, strlen(s->env_prefix)) == 0 && !env_known(s, entry))
            return entry;
    }
    return NULL;
}
