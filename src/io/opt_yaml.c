#include "io/opt_yaml.h"

#include <fcntl.h>
#include <yaml.h>

#include "base/buf.h"

#define KEY_SHOWN 64 /* characters of a bad key an error repeats */

/* One pass over a file. Events are pulled one at a time and no tree is built, so depth is bounded
 * by the shape that is accepted: section, key, list. */
struct reader {
    struct opt_set *set;
    const struct opt_yaml_row *rows;
    const char *name;
    yaml_parser_t parser;
    yaml_event_t event; /* the event at hand; valid while has_event */
    bool has_event;
    struct buf value;
    uint8_t seen[OPT_ROWS_MAX]; /* options the file has given, by index in the set's rows */
    struct err *e;
};

static size_t line_of(const struct reader *r)
{
    return r->event.start_mark.line + 1;
}

#define refuse(r, fmt, ...)                                                                        \
    err_set((r)->e, ERR_CONFIG, "config file '%s' line %zu: " fmt, (r)->name, line_of(r),          \
            ##__VA_ARGS__)

/* Moves to the next event: its type, or ERR_CONFIG where the file is no YAML. */
static int next(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = yaml_parser_parse(&r->parser, &r->event);
    if (!r->has_event)
        return err_set(r->e, ERR_CONFIG, "config file '%s' line %zu: not valid YAML: %s", r->name,
                       r->parser.problem_mark.line + 1,
                       r->parser.problem ? r->parser.problem : "out of memory");
    return (int)r->event.type;
}

static const char *text_of(const struct reader *r)
{
    return (const char *)r->event.data.scalar.value;
}

static bool has_nul(const struct reader *r)
{
    return strlen(text_of(r)) != r->event.data.scalar.length;
}

static bool is_null(const struct reader *r)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

    if (r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        if (strcmp(text_of(r), nulls[i]) == 0)
            return true;
    return false;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The option a key means, or NULL. section NULL: the top level. */
static const char *option_of(const struct reader *r, const char *section, const char *key)
{
    for (const struct opt_yaml_row *row = r->rows; row && row->key; row++)
        if (same(row->section, section) && strcmp(row->key, key) == 0)
            return row->option;
    return section || !opt_find(r->set, key) ? NULL : key;
}

static bool is_section(const struct reader *r, const char *key)
{
    for (const struct opt_yaml_row *row = r->rows; row && row->key; row++)
        if (same(row->section, key))
            return true;
    return false;
}

/* The names a key may have in this place, for "did you mean". */
static const char *nearest_key(const struct reader *r, const char *section, const char *key)
{
    const char *names[OPT_ROWS_MAX * 3];
    size_t n = 0;

    for (const struct opt *o = r->set->rows; !section && o->type != OPT_TYPE_END; o++)
        if (!o->hidden)
            names[n++] = o->name;
    for (const struct opt_yaml_row *row = r->rows; row && row->key; row++) {
        if (n + 3 > ARRAY_LEN(names))
            break;
        if (same(row->section, section))
            names[n++] = row->key;
        else if (!section)
            names[n++] = row->section;
    }
    names[n] = NULL;
    return opt_did_you_mean(key, names);
}

static int unknown_key(struct reader *r, const char *section, const char *key)
{
    const char *near = nearest_key(r, section, key);

    return refuse(r, "unknown key '%.*s'%s%s%s%s%s%s", KEY_SHOWN, key,
                  section ? " in section '" : "", section ? section : "", section ? "'" : "",
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* The scalar at hand, appended to the value. */
static int take_scalar(struct reader *r, const char *key)
{
    if (has_nul(r))
        return refuse(r, "'%.*s': expected text, found a NUL character", KEY_SHOWN, key);
    if (buf_append(&r->value, text_of(r), r->event.data.scalar.length) < 0)
        return refuse(r, "'%.*s': longer than %u bytes", KEY_SHOWN, key, OPT_YAML_VALUE_MAX);
    return 0;
}

/* After the start of a list: its scalars with commas between, up to its end. */
static int take_list(struct reader *r, const char *key)
{
    for (bool first = true;; first = false) {
        int type = next(r);
        if (type < 0 || type == YAML_SEQUENCE_END_EVENT)
            return type < 0 ? type : 0;
        if (type != YAML_SCALAR_EVENT)
            return refuse(r, "'%.*s': expected a list of plain values", KEY_SHOWN, key);
        int rc = first || buf_append_byte(&r->value, ',') == 0 ? take_scalar(r, key) : -ENOBUFS;
        if (rc == -ENOBUFS)
            return refuse(r, "'%.*s': longer than %u bytes", KEY_SHOWN, key, OPT_YAML_VALUE_MAX);
        if (rc < 0)
            return rc;
    }
}

static int set_option(struct reader *r, const char *option, size_t line)
{
    const char *text = buf_cstr(&r->value);

    if (!text)
        return refuse(r, "'%s': longer than %u bytes", option, OPT_YAML_VALUE_MAX);
    if (opt_set_value(r->set, option, text, OPT_FROM_FILE, r->e) < 0)
        return err_wrap(r->e, ERR_CONFIG, "config file '%s' line %zu", r->name, line);
    return 0;
}

/* The event at hand is what stands beside a key. */
static int take_value(struct reader *r, const char *key, const char *option)
{
    size_t line = line_of(r);
    int rc;

    buf_clear(&r->value);
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        if (is_null(r))
            return 0;
        rc = take_scalar(r, key);
        break;
    case YAML_SEQUENCE_START_EVENT:
        rc = take_list(r, key);
        break;
    case YAML_ALIAS_EVENT:
        return refuse(r, "'%.*s': anchors and aliases are not taken; write the value", KEY_SHOWN,
                      key);
    default:
        return refuse(r, "'%.*s': expected a value or a list of values, found a section", KEY_SHOWN,
                      key);
    }
    return rc < 0 ? rc : set_option(r, option, line);
}

/* A key's text, copied, because the next event frees it. NULL, with the error set, where no usable
 * key stands. */
static char *take_key(struct reader *r)
{
    if (r->event.type != YAML_SCALAR_EVENT) {
        refuse(r, "expected 'key: value'");
        return NULL;
    }
    if (has_nul(r)) {
        refuse(r, "expected a key, found a NUL character");
        return NULL;
    }
    return xstrdup(text_of(r));
}

static int mark_seen(struct reader *r, const char *key, const char *option)
{
    const struct opt *row = opt_find(r->set, option);

    assert(row); /* the caller's table names rows of the set */
    uint8_t *seen = &r->seen[row - r->set->rows];
    if (*seen)
        return refuse(r, "'%.*s' is given twice; keep one of them", KEY_SHOWN, key);
    *seen = 1;
    return 0;
}

static int take_section(struct reader *r, const char *section);

/* One key and what stands beside it. section NULL: the top level. */
static int take_pair(struct reader *r, const char *section)
{
    cleanup_free char *key = take_key(r);

    if (!key)
        return ERR_CONFIG;
    const char *option = option_of(r, section, key);
    bool opens = !section && !option && is_section(r, key);
    if (!option && !opens)
        return unknown_key(r, section, key);
    int rc = option ? mark_seen(r, key, option) : 0;
    if (rc < 0)
        return rc;
    int type = next(r);
    if (type < 0)
        return type;
    return opens ? take_section(r, key) : take_value(r, key, option);
}

/* After the start of a mapping: its pairs, up to its end. */
static int take_pairs(struct reader *r, const char *section)
{
    for (;;) {
        int type = next(r);
        if (type < 0 || type == YAML_MAPPING_END_EVENT)
            return type < 0 ? type : 0;
        int rc = take_pair(r, section);
        if (rc < 0)
            return rc;
    }
}

static int take_section(struct reader *r, const char *section)
{
    if (r->event.type == YAML_SCALAR_EVENT && is_null(r))
        return 0; /* a section whose keys are all commented out */
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return refuse(r, "'%.*s' is a section: expected keys indented below it", KEY_SHOWN,
                      section);
    return take_pairs(r, section);
}

static int take_root(struct reader *r)
{
    if (r->event.type == YAML_MAPPING_START_EVENT)
        return take_pairs(r, NULL);
    if (r->event.type == YAML_SCALAR_EVENT && is_null(r))
        return 0;
    return refuse(r, "expected lines of 'key: value'");
}

/* Stream start, at most one document, stream end. */
static int take_stream(struct reader *r)
{
    int type = next(r);

    for (int documents = 0; type >= 0 && type != YAML_STREAM_END_EVENT; type = next(r)) {
        if (type != YAML_DOCUMENT_START_EVENT)
            continue; /* stream start, document end */
        if (documents++)
            return refuse(r, "a second document begins; only one is read");
        type = next(r);
        int rc = type < 0 ? type : take_root(r);
        if (rc < 0)
            return rc;
    }
    return type < 0 ? type : 0;
}

int opt_yaml_parse(struct opt_set *s, struct slice text, const char *name,
                   const struct opt_yaml_row *rows, struct err *e)
{
    struct reader r = {.set = s, .rows = rows, .name = name, .e = e};

    if (text.n > OPT_YAML_BYTES_MAX)
        return err_set(e, ERR_CONFIG, "config file '%s': larger than %u bytes", name,
                       OPT_YAML_BYTES_MAX);
    if (!yaml_parser_initialize(&r.parser))
        return err_set(e, ERR_CONFIG, "config file '%s': out of memory", name);
    buf_init(&r.value, OPT_YAML_VALUE_MAX);
    yaml_parser_set_input_string(&r.parser, text.n ? text.p : (const uint8_t *)"", text.n);
    int rc = take_stream(&r);
    if (r.has_event)
        yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    buf_deinit(&r.value);
    return rc < 0 ? rc : 0;
}

/* The whole file; one byte past the bound is enough to know that it is too large. */
static int read_file(int fd, struct buf *b)
{
    for (;;) {
        int r = buf_reserve(b, MIN((size_t)4096, b->max - b->n));
        if (r < 0)
            return -ENOMEM;
        if (b->n == b->cap)
            return 0;
        ssize_t n = read(fd, b->p + b->n, b->cap - b->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        b->n += (size_t)n;
    }
}

int opt_yaml_load(struct opt_set *s, const char *path, const struct opt_yaml_row *rows,
                  struct err *e)
{
    cleanup_buf struct buf text;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    buf_init(&text, OPT_YAML_BYTES_MAX + 1);
    if (fd < 0)
        return err_set(e, -errno, "open config file '%s'", path);
    int r = read_file(fd, &text);
    if (r < 0)
        return err_set(e, r, "read config file '%s'", path);
    return opt_yaml_parse(s, buf_slice(&text), path, rows, e);
}
