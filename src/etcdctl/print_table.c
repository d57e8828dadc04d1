#include "etcdctl/print.h"

#include "etcdctl/gotext.h"
#include "rpc.pb-c.h"

const char *const out_status_columns[] = {"ENDPOINT",
                                          "ID",
                                          "VERSION",
                                          "STORAGE VERSION",
                                          "DB SIZE",
                                          "IN USE",
                                          "PERCENTAGE NOT IN USE",
                                          "QUOTA",
                                          "IS LEADER",
                                          "IS LEARNER",
                                          "RAFT TERM",
                                          "RAFT INDEX",
                                          "RAFT APPLIED INDEX",
                                          "ERRORS",
                                          "DOWNGRADE TARGET VERSION",
                                          "DOWNGRADE ENABLED",
                                          NULL};
const char *const out_hashkv_columns[] = {"ENDPOINT", "HASH", "HASH REVISION", NULL};
const char *const out_health_columns[] = {"ENDPOINT", "HEALTH", "TOOK", "ERROR", NULL};
const char *const out_member_columns[] = {"ID",           "STATUS",     "NAME", "PEER ADDRS",
                                          "CLIENT ADDRS", "IS LEARNER", NULL};

static void add(struct out_cells *c, char *owned)
{
    assert(c->n < OUT_COLUMNS_MAX);
    c->cell[c->n++] = owned;
}

static void add_str(struct out_cells *c, const char *s)
{
    add(c, xstrdup(s));
}

static void add_u64(struct out_cells *c, uint64_t v)
{
    add(c, xasprintf("%" PRIu64, v));
}

static void add_bool(struct out_cells *c, bool v)
{
    add_str(c, v ? "true" : "false");
}

static void add_bytes(struct out_cells *c, int64_t n)
{
    char text[GOTEXT_MAX];

    add_str(c, go_bytes(n > 0 ? (uint64_t)n : 0, text));
}

static void add_joined(struct out_cells *c, char *const *items, size_t n, const char *between)
{
    size_t len = 1;

    for (size_t i = 0; i < n; i++)
        len += strlen(items[i]) + strlen(between);
    char *text = xcalloc(1, len);
    char *at = text;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            at = stpcpy(at, between);
        at = stpcpy(at, items[i]);
    }
    add(c, text);
}

void out_cells_free(struct out_cells *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->cell[i]);
    c->n = 0;
}

void out_status_cells(const struct out_endpoint *row, struct out_cells *ret)
{
    const Etcdserverpb__StatusResponse *r = (const void *)row->response;
    const Etcdserverpb__DowngradeInfo *d = r->downgradeinfo;
    uint64_t member = r->header ? r->header->member_id : 0;

    *ret = (struct out_cells){0};
    add_str(ret, row->endpoint);
    add(ret, xasprintf("%" PRIx64, member));
    add_str(ret, r->version);
    add_str(ret, r->storageversion);
    add_bytes(ret, r->dbsize);
    add_bytes(ret, r->dbsizeinuse);
    add(ret, xasprintf("%" PRId64 "%%",
                       r->dbsize > 0 ? 100 - r->dbsizeinuse * 100 / r->dbsize : (int64_t)0));
    add_bytes(ret, r->dbsizequota);
    add_bool(ret, r->leader == member);
    add_bool(ret, r->islearner);
    add_u64(ret, r->raftterm);
    add_u64(ret, r->raftindex);
    add_u64(ret, r->raftappliedindex);
    add_joined(ret, r->errors, r->n_errors, ", ");
    add_str(ret, d ? d->targetversion : "");
    add_bool(ret, d && d->enabled);
}

void out_hashkv_cells(const struct out_endpoint *row, struct out_cells *ret)
{
    const Etcdserverpb__HashKVResponse *r = (const void *)row->response;

    *ret = (struct out_cells){0};
    add_str(ret, row->endpoint);
    add_u64(ret, r->hash);
    add(ret, xasprintf("%" PRId64, r->hash_revision));
}

void out_health_cells(const struct out_endpoint *row, struct out_cells *ret)
{
    char took[GOTEXT_MAX];

    *ret = (struct out_cells){0};
    add_str(ret, row->endpoint);
    add_bool(ret, !*row->error);
    add_str(ret, go_duration(row->took_ns, took));
    add_str(ret, row->error);
}

void out_member_cells(const ProtobufCMessage *member, struct out_cells *ret)
{
    const Etcdserverpb__Member *m = (const void *)member;

    *ret = (struct out_cells){0};
    add(ret, xasprintf("%" PRIx64, m->id));
    add_str(ret, *m->name ? "started" : "unstarted");
    add_str(ret, m->name);
    add_joined(ret, m->peerurls, m->n_peerurls, ",");
    add_joined(ret, m->clienturls, m->n_clienturls, ",");
    add_bool(ret, m->islearner);
}

/* Characters, not bytes: durations have a µ. */
static size_t width_of(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void spaces(FILE *f, size_t n)
{
    while (n-- > 0)
        fputc(' ', f);
}

static void rule(FILE *f, const size_t *width, size_t columns)
{
    for (size_t i = 0; i < columns; i++) {
        fputc('+', f);
        for (size_t k = 0; k < width[i] + 2; k++)
            fputc('-', f);
    }
    fputs("+\n", f);
}

/* left: blanks in front of the text inside its column. */
static void cell(FILE *f, const char *text, size_t left, size_t width)
{
    fputs("| ", f);
    spaces(f, left);
    fputs(text, f);
    spaces(f, width - left - width_of(text) + 1);
}

void out_table_write(FILE *f, const char *const *columns, const struct out_cells *rows, size_t n)
{
    size_t width[OUT_COLUMNS_MAX] = {0}, count = 0;

    for (; columns[count]; count++) {
        width[count] = width_of(columns[count]);
        for (size_t i = 0; i < n; i++)
            width[count] = MAX(width[count], width_of(rows[i].cell[count]));
    }
    rule(f, width, count);
    for (size_t c = 0; c < count; c++)
        cell(f, columns[c], (width[c] - width_of(columns[c])) / 2, width[c]);
    fputs("|\n", f);
    rule(f, width, count);
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < count; c++)
            cell(f, rows[i].cell[c], width[c] - width_of(rows[i].cell[c]), width[c]);
        fputs("|\n", f);
    }
    rule(f, width, count);
}

static void rows_write(FILE *f, const char *const *columns, struct out_cells *rows, size_t n)
{
    out_table_write(f, columns, rows, n);
    for (size_t i = 0; i < n; i++)
        out_cells_free(&rows[i]);
}

static void endpoint_table(struct out *o, const struct out_endpoint *rows, size_t n,
                           const char *const *columns,
                           void (*cells)(const struct out_endpoint *, struct out_cells *))
{
    cleanup_free struct out_cells *lines = xcalloc(n + 1, sizeof *lines);

    for (size_t i = 0; i < n; i++)
        cells(&rows[i], &lines[i]);
    rows_write(o->f, columns, lines, n);
}

static void health_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    endpoint_table(o, rows, n, out_health_columns, out_health_cells);
}

static void status_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    endpoint_table(o, rows, n, out_status_columns, out_status_cells);
}

static void hashkv_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    endpoint_table(o, rows, n, out_hashkv_columns, out_hashkv_cells);
}

static void member_list(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__MemberListResponse *r = (const void *)m;
    cleanup_free struct out_cells *lines = xcalloc(r->n_members + 1, sizeof *lines);

    for (size_t i = 0; i < r->n_members; i++)
        out_member_cells(&r->members[i]->base, &lines[i]);
    rows_write(o->f, out_member_columns, lines, r->n_members);
}

const struct out_format out_table = {
    .name = "table",
    .message = {[OUT_MEMBER_LIST] = member_list},
    .list = {[OUT_HEALTH] = health_list, [OUT_STATUS] = status_list, [OUT_HASHKV] = hashkv_list},
};
