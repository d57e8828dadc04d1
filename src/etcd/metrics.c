#include "etcd/metrics.h"

#include <math.h>

#include "base/clock.h"

#define NUMBER_BYTES 32 /* the longest double with 17 digits, and its NUL */

/* --- histograms --- */

/* 2, 4, 8 and 16 bounds from x on, each twice the one before: exact, as only the exponent changes.
 */
#define D2(x)  (x), (x)*2
#define D4(x)  D2(x), D2((x)*4)
#define D8(x)  D4(x), D4((x)*16)
#define D16(x) D8(x), D8((x)*256)

const struct histogram_bounds histogram_apply = {20, {D16(0.0001), D4(0.0001 * 65536)}};
const struct histogram_bounds histogram_disk = {14, {D8(0.001), D4(0.001 * 256), D2(0.001 * 4096)}};
const struct histogram_bounds histogram_hash = {
    15, {D8(0.01), D4(0.01 * 256), D2(0.01 * 4096), 0.01 * 16384}};
const struct histogram_bounds histogram_snapshot = {17, {D16(0.01), 0.01 * 65536}};
const struct histogram_bounds histogram_defrag = {13, {D8(0.1), D4(0.1 * 256), 0.1 * 4096}};
const struct histogram_bounds histogram_lease_ttl = {24, {D16(1.0), D8(65536.0)}};
const struct histogram_bounds histogram_compact_ms = {14, {D8(100.0), D4(25600.0), D2(409600.0)}};
const struct histogram_bounds histogram_pause_ms = {13, {D8(1.0), D4(256.0), 4096.0}};
const struct histogram_bounds histogram_rpc = {
    11, {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};

void histogram_init(struct histogram *h, const struct histogram_bounds *bounds)
{
    assert(bounds->n > 0 && bounds->n <= HISTOGRAM_BUCKETS_MAX);
    *h = (struct histogram){.bounds = bounds};
}

void histogram_observe(struct histogram *h, double value)
{
    size_t i = 0;

    /* Most values are small, so the first buckets take them: no search is faster. */
    while (i < h->bounds->n && value > h->bounds->le[i])
        i++;
    h->counts[i]++;
    h->sum += value;
}

void histogram_observe_ns(struct histogram *h, uint64_t ns)
{
    histogram_observe(h, (double)ns / (double)NS_PER_S);
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= h->bounds->n; i++)
        n += h->counts[i];
    return n;
}

/* --- text --- */

/* The shortest text that reads back as the same number. */
static void number_text(char text[NUMBER_BYTES], double v)
{
    if (isnan(v) || isinf(v)) {
        snprintf(text, NUMBER_BYTES, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, NUMBER_BYTES, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            return;
    }
}

/* Backslash and newline are escaped everywhere, quotes in labels only. */
static int append_escaped(struct buf *out, const char *s, bool quotes)
{
    int r = 0;

    for (; *s && r == 0; s++) {
        if (*s == '\n')
            r = buf_append_str(out, "\\n");
        else if (*s == '\\' || (quotes && *s == '"'))
            r = buf_printf(out, "\\%c", *s);
        else
            r = buf_append_byte(out, (uint8_t)*s);
    }
    return r;
}

static int append_label(struct buf *out, const char *before, const char *name, const char *value)
{
    int r = buf_printf(out, "%s%s=\"", before, name);

    if (r == 0)
        r = append_escaped(out, value, true);
    return r < 0 ? r : buf_append_byte(out, '"');
}

/* The start of a line: name, suffix, labels (and le, if any), blank. */
static int append_name(struct buf *out, const struct metric *m, const char *suffix, const char *le)
{
    const char *before = "{";
    int r = buf_printf(out, "%s%s", m->name, suffix);

    for (size_t i = 0; i < METRIC_LABELS_MAX && m->labels[i].name && r == 0; i++) {
        r = append_label(out, before, m->labels[i].name, m->labels[i].value);
        before = ",";
    }
    if (r == 0 && le) {
        r = append_label(out, before, "le", le);
        before = ",";
    }
    return r < 0 ? r : buf_append_str(out, *before == ',' ? "} " : " ");
}

static int append_count(struct buf *out, const struct metric *m, const char *suffix, const char *le,
                        uint64_t v)
{
    int r = append_name(out, m, suffix, le);

    return r < 0 ? r : buf_printf(out, "%" PRIu64 "\n", v);
}

static int append_number(struct buf *out, const struct metric *m, const char *suffix, double v)
{
    char text[NUMBER_BYTES];
    int r = append_name(out, m, suffix, NULL);

    number_text(text, v);
    return r < 0 ? r : buf_printf(out, "%s\n", text);
}

static int append_histogram(struct buf *out, const struct metric *m, const struct histogram *h)
{
    uint64_t below = 0;
    int r = 0;

    for (size_t i = 0; i <= h->bounds->n && r == 0; i++) {
        char le[NUMBER_BYTES];
        number_text(le, i < h->bounds->n ? h->bounds->le[i] : (double)INFINITY);
        below += h->counts[i];
        r = append_count(out, m, "_bucket", le, below);
    }
    if (r == 0)
        r = append_number(out, m, "_sum", h->sum);
    return r < 0 ? r : append_count(out, m, "_count", NULL, below);
}

static int append_i64(struct buf *out, const struct metric *m, int64_t v)
{
    int r = append_name(out, m, "", NULL);

    return r < 0 ? r : buf_printf(out, "%" PRId64 "\n", v);
}

static int append_value(struct buf *out, const struct metric *m)
{
    const void *at = m->value.at;

    switch (m->value.kind) {
    case METRIC_KIND_ONE:
        return append_count(out, m, "", NULL, 1);
    case METRIC_KIND_U64:
        return append_count(out, m, "", NULL, *(const uint64_t *)at);
    case METRIC_KIND_I64:
        return append_i64(out, m, *(const int64_t *)at);
    case METRIC_KIND_F64:
        return append_number(out, m, "", *(const double *)at);
    case METRIC_KIND_BOOL:
        return append_count(out, m, "", NULL, *(const bool *)at);
    case METRIC_KIND_CALL:
        return append_number(out, m, "", m->value.call(at));
    case METRIC_KIND_HIST:
        return append_histogram(out, m, at);
    }
    return -EINVAL;
}

static int append_family(struct buf *out, const struct metric *m)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };
    int r = buf_printf(out, "# HELP %s ", m->name);

    if (r == 0)
        r = append_escaped(out, m->help, false);
    return r < 0 ? r : buf_printf(out, "\n# TYPE %s %s\n", m->name, types[m->type]);
}

int metrics_render(const struct metric *rows, size_t n, struct buf *out)
{
    size_t start = out->n;

    for (size_t i = 0; i < n; i++) {
        const struct metric *m = &rows[i];
        int r = 0;

        assert((m->type == METRIC_HISTOGRAM) == (m->value.kind == METRIC_KIND_HIST));
        if (i == 0 || strcmp(m->name, rows[i - 1].name) != 0)
            r = append_family(out, m);
        if (r == 0)
            r = append_value(out, m);
        if (r < 0) {
            out->n = start;
            return r;
        }
    }
    return 0;
}
