#include "base/opt_internal.h"

#include "base/clock.h"
#include "base/hex.h"

#include <stdio.h>

#define LIST_ITEMS_MAX 4096 /* a config file of 1 MiB could name half a million */
#define EXPECTED_MAX   256  /* text of what was expected: the choices of an enum fit */
#define FOUND_SHOWN    80   /* characters of a bad value an error repeats */

static void *field_of(const struct opt *row, void *target)
{
    return (char *)target + row->offset;
}

static bool no_upper_bound(const struct opt *row)
{
    return row->max < row->min || (row->min == 0 && row->max == 0);
}

static bool no_bounds(const struct opt *row)
{
    return row->min == 0 && row->max == 0;
}

static bool u64_in_bounds(const struct opt *row, uint64_t v)
{
    if (row->min > 0 && v < (uint64_t)row->min)
        return false;
    return no_upper_bound(row) || v <= (uint64_t)row->max;
}

static bool i64_in_bounds(const struct opt *row, int64_t v)
{
    if (no_bounds(row))
        return true;
    return v >= row->min && (no_upper_bound(row) || v <= row->max);
}

static int parse_bool(const char *s, bool *ret_v)
{
    /* strconv.ParseBool */
    static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True"};
    static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
            *ret_v = strcmp(s, yes[i]) == 0;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_decimal(const char *s, uint64_t *ret_v)
{
    uint64_t v = 0;

    if (!*s)
        return -EINVAL;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return -ERANGE;
    }
    *ret_v = v;
    return 0;
}

static int parse_u64(const char *s, uint64_t *ret_v)
{
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
        return hex_u64_parse(slice_str(s + 2), ret_v);
    return parse_decimal(s, ret_v);
}

static int parse_i64(const char *s, int64_t *ret_v)
{
    bool negative = *s == '-';
    uint64_t v;
    int r = parse_u64(s + (*s == '-' || *s == '+'), &v);

    if (r < 0)
        return r;
    if (v > (uint64_t)INT64_MAX + negative)
        return -ERANGE;
    *ret_v = (int64_t)(negative ? -v : v);
    return 0;
}

static int parse_choice(const struct opt *row, const char *s, int *ret_v)
{
    for (int i = 0; row->choices[i]; i++) {
        if (strcmp(s, row->choices[i]) == 0) {
            *ret_v = i;
            return 0;
        }
    }
    return -EINVAL;
}

/* "from 1 to 50000", in the row's unit. */
static void say_bounds(const struct opt *row, char *out, size_t size)
{
    char low[32], high[32];

    out[0] = 0;
    if (no_bounds(row))
        return;
    if (row->type == OPT_TYPE_DURATION) {
        opt_format_duration((uint64_t)row->min, low);
        opt_format_duration((uint64_t)row->max, high);
    } else {
        snprintf(low, sizeof low, "%" PRId64, row->min);
        snprintf(high, sizeof high, "%" PRId64, row->max);
    }
    if (no_upper_bound(row))
        snprintf(out, size, ", at least %s", low);
    else
        snprintf(out, size, " from %s to %s", low, high);
}

static void say_choices(const struct opt *row, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "one of ");

    for (size_t i = 0; row->choices[i] && n < size; i++) {
        int r = snprintf(out + n, size - n, "%s%s", i ? ", " : "", row->choices[i]);
        n += (size_t)r;
    }
}

static void say_expected(const struct opt *row, char out[EXPECTED_MAX])
{
    static const char *const nouns[] = {
        [OPT_TYPE_BOOL] = "true or false",
        [OPT_TYPE_U64] = "a whole number",
        [OPT_TYPE_I64] = "an integer",
        [OPT_TYPE_HEX] = "up to 16 hexadecimal digits",
        [OPT_TYPE_DURATION] = "a duration such as 300ms or 1h30m",
        [OPT_TYPE_MS] = "a number of milliseconds without a unit",
        [OPT_TYPE_LIST] = "values separated by single commas",
    };
    char bounds[80];

    if (row->type == OPT_TYPE_ENUM) {
        say_choices(row, out, EXPECTED_MAX);
        return;
    }
    say_bounds(row, bounds, sizeof bounds);
    bool unit = row->unit && (row->type == OPT_TYPE_U64 || row->type == OPT_TYPE_I64);
    snprintf(out, EXPECTED_MAX, "%s%s%s%s", nouns[row->type], unit ? " of " : "",
             unit ? row->unit : "", bounds);
}

static int refuse(const struct opt *row, const char *text, const struct opt_place *place,
                  struct err *e)
{
    char expected[EXPECTED_MAX];

    say_expected(row, expected);
    return err_set(e, ERR_USAGE, "%s: expected %s, found '%.*s'%s", place->name, expected,
                   FOUND_SHOWN, text, strlen(text) > FOUND_SHOWN ? "..." : "");
}

/* A copy of the items of a list value; NULL for a bad one. Empty text is the empty list. */
static char **split(const char *text, size_t *ret_n)
{
    size_t n = *text != 0;

    for (const char *c = text; *c; c++)
        n += *c == ',';
    if (n > LIST_ITEMS_MAX)
        return NULL;
    char **items = xcalloc(n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(text, ",");
        items[i] = xasprintf("%.*s", (int)len, text);
        text += len + 1;
    }
    *ret_n = n;
    return items;
}

static void free_list(char **list)
{
    for (char **i = list; i && *i; i++)
        free(*i);
    free(list);
}

static bool has_empty_item(char **list)
{
    for (; *list; list++)
        if (!**list)
            return true;
    return false;
}

static int store_list(char ***field, const char *text, bool append)
{
    size_t n, old = 0;
    char **items = split(text, &n);

    if (!items)
        return -E2BIG;
    if (has_empty_item(items)) {
        free_list(items);
        return -EINVAL;
    }
    if (!append || !*field) {
        free_list(*field);
        *field = items;
        return 0;
    }
    while ((*field)[old])
        old++;
    if (old + n > LIST_ITEMS_MAX) {
        free_list(items);
        return -E2BIG;
    }
    *field = xrealloc(*field, (old + n + 1) * sizeof **field);
    memcpy(*field + old, items, (n + 1) * sizeof *items);
    free(items);
    return 0;
}

static int store_number(const struct opt *row, uint64_t *field, const char *text,
                        const struct opt_place *place)
{
    uint64_t v;
    int r = -EINVAL;

    if (row->type == OPT_TYPE_HEX)
        r = hex_u64_parse(slice_str(text), &v);
    else if (row->type == OPT_TYPE_U64)
        r = parse_u64(text, &v);
    else if (row->type == OPT_TYPE_MS || place->from == OPT_FROM_FILE)
        r = parse_decimal(text, &v); /* in upstream's files a duration is a bare number of ns */
    if (r < 0 && row->type == OPT_TYPE_DURATION)
        r = opt_parse_duration(text, &v);
    if (r < 0 || !u64_in_bounds(row, v))
        return -EINVAL;
    *field = v;
    return 0;
}

static int store_i64(const struct opt *row, int64_t *field, const char *text)
{
    int64_t v;

    if (parse_i64(text, &v) < 0 || !i64_in_bounds(row, v))
        return -EINVAL;
    *field = v;
    return 0;
}

static void store_str(char **field, const char *text)
{
    char *copy = xstrdup(text); /* before the free: text may be the old value */

    free(*field);
    *field = copy;
}

int opt_value_store(const struct opt *row, void *target, const char *text, bool append,
                    const struct opt_place *place, struct err *e)
{
    void *field = field_of(row, target);
    int r = 0;

    switch (row->type) {
    case OPT_TYPE_BOOL:
        r = parse_bool(text, field);
        break;
    case OPT_TYPE_STR:
        store_str(field, text);
        break;
    case OPT_TYPE_U64:
    case OPT_TYPE_HEX:
    case OPT_TYPE_DURATION:
    case OPT_TYPE_MS:
        r = store_number(row, field, text, place);
        break;
    case OPT_TYPE_I64:
        r = store_i64(row, field, text);
        break;
    case OPT_TYPE_ENUM:
        r = parse_choice(row, text, field);
        break;
    case OPT_TYPE_LIST:
        r = store_list(field, text, append);
        break;
    case OPT_TYPE_IGNORED:
    case OPT_TYPE_END:
        break;
    }
    if (r == -E2BIG)
        return err_set(e, ERR_USAGE, "%s: more than %d values; give fewer", place->name,
                       LIST_ITEMS_MAX);
    return r < 0 ? refuse(row, text, place, e) : 0;
}

void opt_value_free(const struct opt *row, void *target)
{
    void *field = field_of(row, target);

    if (row->type == OPT_TYPE_STR) {
        free(*(char **)field);
        *(char **)field = NULL;
    } else if (row->type == OPT_TYPE_LIST) {
        free_list(*(char ***)field);
        *(char ***)field = NULL;
    }
}
