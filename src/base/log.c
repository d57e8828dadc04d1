#include "base/log.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/json_write.h"

static struct {
    enum log_level level;
    enum log_format format;
    int fd;
} conf = {LOG_INFO, LOG_JSON, STDERR_FILENO};

static const char *const level_names[] = {"debug", "info", "warn", "error", "fatal"};

/* A line being made. While it grows the last TAIL_MAX bytes are kept for what ends it. */
static const char tail_cut[] = ",\"cut\":true}\n";
#define TAIL_MAX (sizeof tail_cut)
struct line {
    char text[LOG_LINE_MAX];
    size_t n;
    bool cut; /* something did not fit; nothing more is added */
};

static size_t room(const struct line *l)
{
    return l->cut ? 0 : LOG_LINE_MAX - TAIL_MAX - l->n;
}

static void put(struct line *l, const char *s)
{
    size_t n = strlen(s);

    if (n > room(l)) {
        l->cut = true;
        return;
    }
    memcpy(l->text + l->n, s, n);
    l->n += n;
}

/* A string that does not fit is cut between characters and still closed. */
static void put_quoted(struct line *l, const char *s)
{
    struct slice in = slice_str(s);

    if (room(l) < 2) {
        l->cut = true;
        return;
    }
    l->text[l->n++] = '"';
    l->n += json_escape(&in, 0, l->text + l->n, room(l) - 1);
    l->text[l->n++] = '"';
    l->cut = in.n > 0;
}

/* key=value needs quotes only where a reader could not tell the ends. */
static void put_plain(struct line *l, const char *s)
{
    bool plain = *s != 0;

    for (const char *c = s; *c && plain; c++)
        plain = *c > ' ' && *c < 0x7f && *c != '"' && *c != '=' && *c != '\\';
    if (plain && strlen(s) <= room(l))
        put(l, s);
    else
        put_quoted(l, s);
}

static void put_number(struct line *l, const struct log_field *f)
{
    char text[24];

    if (f->kind == LOG_KIND_HEX) {
        put(l, hex_u64(f->num, text));
        return;
    }
    if (f->kind == LOG_KIND_I64)
        snprintf(text, sizeof text, "%" PRId64, (int64_t)f->num);
    else
        snprintf(text, sizeof text, "%" PRIu64, f->num);
    put(l, text);
}

static void put_value(struct line *l, const struct log_field *f)
{
    bool json = conf.format == LOG_JSON;

    switch (f->kind) {
    case LOG_KIND_STR:
        if (json)
            put_quoted(l, f->str ? f->str : "");
        else
            put_plain(l, f->str ? f->str : "");
        break;
    case LOG_KIND_BOOL:
        put(l, f->num ? "true" : "false");
        break;
    case LOG_KIND_HEX:
        put(l, json ? "\"" : "");
        put_number(l, f);
        put(l, json ? "\"" : "");
        break;
    case LOG_KIND_U64:
    case LOG_KIND_I64:
        put_number(l, f);
        break;
    case LOG_END:
        break;
    }
}

/* A field whose value is a number stands whole or not at all; of a string a part may stand. */
static void put_field(struct line *l, const struct log_field *f, bool first)
{
    bool json = conf.format == LOG_JSON;
    size_t start = l->n;

    put(l, first ? "" : json ? "," : " ");
    if (json)
        put_quoted(l, f->name);
    else
        put(l, f->name);
    put(l, json ? ":" : "=");
    size_t value = l->n;
    put_value(l, f);
    if (l->cut && (f->kind != LOG_KIND_STR || l->n == value))
        l->n = start;
}

#define TIME_MAX 48 /* 27 in use; the compiler counts ten digits a number */

/* 2026-11-22T14:42:55.123456Z. Its own calendar, because gmtime_r takes a lock and may read the
 * time zone's file. Days to civil date after Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms", with March as the first month of a year. */
static void format_time(uint64_t wall_ns, char out[TIME_MAX])
{
    uint64_t s = wall_ns / NS_PER_S;
    uint32_t in_day = (uint32_t)(s % 86400);
    uint32_t days = (uint32_t)(s / 86400) + 719468; /* since 0000-03-01 */
    uint32_t era = days / 146097;
    uint32_t doe = days % 146097;
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint32_t mp = (5 * doy + 2) / 153;
    uint32_t month = mp < 10 ? mp + 3 : mp - 9;

    snprintf(out, TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
             (yoe + era * 400 + (month <= 2)) % 10000, month, doy - (153 * mp + 2) / 5 + 1,
             in_day / 3600, in_day / 60 % 60, in_day % 60,
             (uint32_t)(wall_ns % NS_PER_S / NS_PER_US));
}

static void write_line(const struct line *l)
{
    ssize_t r;

    do
        r = write(conf.fd, l->text, l->n);
    while (r < 0 && errno == EINTR);
    /* A log nobody takes has no place to complain. */
}

/* Past the room the last bytes were kept for this. */
static void end_line(struct line *l)
{
    const char *tail = l->cut ? " cut=true\n" : "\n";

    if (conf.format == LOG_JSON)
        tail = l->cut ? tail_cut : "}\n";
    memcpy(l->text + l->n, tail, strlen(tail));
    l->n += strlen(tail);
}

void log_write(enum log_level level, const char *component, const char *msg,
               const struct log_field *fields)
{
    int saved = errno;
    struct line l;
    char ts[TIME_MAX];

    l.n = 0;
    l.cut = false;
    format_time(clock_wall_ns(&clock_system), ts);
    /* The order of upstream's zap lines, which log collectors are set up for. */
    const struct log_field head[] = {LOG_STR("level", level_names[level]), LOG_STR("ts", ts),
                                     LOG_STR("caller", component), LOG_STR("msg", msg)};
    put(&l, conf.format == LOG_JSON ? "{" : "");
    for (size_t i = 0; i < ARRAY_LEN(head); i++)
        put_field(&l, &head[i], i == 0);
    for (const struct log_field *f = fields; f->kind != LOG_END && !l.cut; f++)
        put_field(&l, f, false);
    end_line(&l);
    write_line(&l);
    errno = saved;
}

void log_setup(enum log_level level, enum log_format format, int fd)
{
    assert(level <= LOG_FATAL);
    conf.level = level;
    conf.format = format;
    conf.fd = fd;
}

int log_level_parse(const char *s, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(s, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    /* Levels zap has between ours. */
    if (strcmp(s, "panic") == 0 || strcmp(s, "dpanic") == 0) {
        *ret_level = LOG_FATAL;
        return 0;
    }
    return -EINVAL;
}

bool log_enabled(enum log_level level)
{
    return level >= conf.level;
}
