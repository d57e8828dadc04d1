#include "base/opt_internal.h"

#include <stdio.h>

#define LEFT_MAX 38  /* a longer left side pushes its help to a line of its own */
#define SIDE_MAX 256 /* memory for a left side */

static const char *placeholder(const struct opt *row)
{
    static const char *const by_type[] = {
        [OPT_TYPE_STR] = "TEXT",          [OPT_TYPE_U64] = "NUMBER", [OPT_TYPE_I64] = "NUMBER",
        [OPT_TYPE_HEX] = "HEX",           [OPT_TYPE_MS] = "MS",      [OPT_TYPE_LIST] = "A,B,...",
        [OPT_TYPE_DURATION] = "DURATION", [OPT_TYPE_BOOL] = "",      [OPT_TYPE_IGNORED] = "",
    };

    return row->arg ? row->arg : by_type[row->type];
}

/* "a|b|c" of an enum, else the placeholder. */
static void say_arg(const struct opt *row, char out[SIDE_MAX])
{
    size_t n = 0;

    if (row->type != OPT_TYPE_ENUM || row->arg) {
        snprintf(out, SIDE_MAX, "%s", placeholder(row));
        return;
    }
    out[0] = 0;
    for (size_t i = 0; row->choices[i] && n < SIDE_MAX; i++)
        n += (size_t)snprintf(out + n, SIDE_MAX - n, "%s%s", i ? "|" : "", row->choices[i]);
}

static bool is_true_by_default(const struct opt *row)
{
    return row->type == OPT_TYPE_BOOL && row->def && strcmp(row->def, "true") == 0;
}

static int left_side(const struct opt *row, char out[SIDE_MAX])
{
    char letter[] = {'-', row->letter, ',', ' ', 0};
    char arg[SIDE_MAX];

    say_arg(row, arg);
    if (is_true_by_default(row)) /* the only useful form */
        return snprintf(out, SIDE_MAX, "  %s--%s[=false]", row->letter ? letter : "    ",
                        row->name);
    return snprintf(out, SIDE_MAX, "  %s--%s%s%s", row->letter ? letter : "    ", row->name,
                    *arg ? " " : "", arg);
}

static bool has_default(const struct opt *row)
{
    if (!row->def || !*row->def || row->type == OPT_TYPE_IGNORED)
        return false;
    return row->type != OPT_TYPE_BOOL || is_true_by_default(row);
}

static bool has_bounds(const struct opt *row)
{
    return row->max > row->min && row->max != INT64_MAX;
}

static void print_bounds(const struct opt *row, FILE *out)
{
    char low[32], high[32];

    if (row->type == OPT_TYPE_DURATION)
        fprintf(out, "%s to %s", opt_format_duration((uint64_t)row->min, low),
                opt_format_duration((uint64_t)row->max, high));
    else
        fprintf(out, "%" PRId64 " to %" PRId64, row->min, row->max);
}

/* "(1 to 9 bytes; default 3)": what stands in the row, nothing when it has none of it. */
static void print_facts(const struct opt *row, FILE *out)
{
    const char *unit = row->unit ? row->unit : row->type == OPT_TYPE_MS ? "ms" : NULL;
    bool def = has_default(row);

    if (!def && !unit && !has_bounds(row))
        return;
    fputs(" (", out);
    if (has_bounds(row))
        print_bounds(row, out);
    if (unit)
        fprintf(out, "%s%s", has_bounds(row) ? " " : "", unit);
    if (def)
        fprintf(out, "%sdefault %s", has_bounds(row) || unit ? "; " : "", row->def);
    fputc(')', out);
}

static int widest_left(const struct opt *rows)
{
    char left[SIDE_MAX];
    int widest = 0;

    for (const struct opt *row = rows; row->type != OPT_TYPE_END; row++) {
        int n = row->hidden ? 0 : left_side(row, left);
        if (n <= LEFT_MAX)
            widest = MAX(widest, n);
    }
    return widest ? widest : LEFT_MAX;
}

void opt_print_help(const struct opt *rows, FILE *out)
{
    int column = widest_left(rows) + 2;
    char left[SIDE_MAX];

    for (const struct opt *row = rows; row->type != OPT_TYPE_END; row++) {
        if (row->hidden)
            continue;
        int n = left_side(row, left);
        fputs(left, out);
        if (row->help) {
            if (n > LEFT_MAX)
                fputc('\n', out);
            fprintf(out, "%*s%s", n > LEFT_MAX ? column : column - n, "", row->help);
            print_facts(row, out);
        }
        fputc('\n', out);
    }
}
