#include "etcd/endpoints.h"

#include "etcd/alarm.h"
#include "etcd/conf.h"
#include "etcd/metrics_export.h"
#include "etcd/server.h"

#define PAGE_MAX (1024u * 1024) /* bytes of an answer; /metrics takes about 30 KiB */

struct endpoints {
    struct server *server;
    struct grpc_methods *methods;
    uint64_t health_successes, health_failures;
};

struct endpoints *endpoints_new(struct server *s, struct grpc_methods *methods)
{
    struct endpoints *x = xcalloc(1, sizeof *x);

    x->server = s;
    x->methods = methods;
    return x;
}

void endpoints_free(struct endpoints *x)
{
    free(x);
}

/* --- queries --- */

/* True when the query has name=value, or name alone for an empty value; any number of other pairs
 * may stand beside it. */
static bool query_has(struct slice query, const char *name, const char *value)
{
    while (query.n) {
        const uint8_t *amp = memchr(query.p, '&', query.n);
        struct slice pair = {query.p, amp ? (size_t)(amp - query.p) : query.n};
        query = amp ? slice_skip(query, pair.n + 1) : SLICE_EMPTY;
        if (!slice_starts(pair, slice_str(name)))
            continue;
        struct slice rest = slice_skip(pair, strlen(name));
        if (rest.n == 0 ? !*value : rest.p[0] == '=' && slice_eq_str(slice_skip(rest, 1), value))
            return true;
    }
    return false;
}

/* --- checks: each NULL when good, else why not --- */

static const char *check_data_corruption(struct server *s)
{
    return alarm_stands(server_alarms(s), ETCDSERVERPB__ALARM_TYPE__CORRUPT)
               ? "alarm activated: CORRUPT"
               : NULL;
}

static const char *check_serializable_read(struct server *s)
{
    return server_read_check(s, true) < 0 ? "range error" : NULL;
}

static const char *check_linearizable_read(struct server *s)
{
    int r = server_read_check(s, false);

    return r < 0 ? err_text(r) : NULL;
}

static const char *check_non_learner(struct server *s)
{
    return NULL; /* a single member is a voter */
}

struct check {
    const char *name;
    const char *(*run)(struct server *s);
    bool live; /* part of /livez too */
};
static const struct check checks[] = {
    {"data_corruption", check_data_corruption, false},
    {"serializable_read", check_serializable_read, true},
    {"linearizable_read", check_linearizable_read, false},
    {"non_learner", check_non_learner, false},
};

/* --- pages --- */

static void reply_text(struct http_exchange *x, int status, const char *text)
{
    http_reply(x, status, "text/plain; charset=utf-8", slice_str(text));
}

static bool refuse_other_methods(struct http_exchange *x)
{
    if (slice_eq_str(x->req->method, "GET") || slice_eq_str(x->req->method, "HEAD"))
        return false;
    struct http_header h[] = {{SLICE_LIT("Allow"), SLICE_LIT("GET, HEAD")},
                              {SLICE_LIT("Content-Type"), SLICE_LIT("text/plain; charset=utf-8")}};
    x->ops->reply(x, 405, h, ARRAY_LEN(h), SLICE_LIT("Method Not Allowed\n"));
    return true;
}

static void page_version(struct endpoints *ep, struct http_exchange *x, const char *sub)
{
    http_reply(x, 200, "application/json",
               SLICE_LIT("{\"etcdserver\":\"" ETCD_VERSION
                         "\",\"etcdcluster\":\"" ETCD_CLUSTER_VERSION
                         "\",\"storage\":\"" ETCD_CLUSTER_VERSION "\"}"));
}

static const char *health_reason(struct endpoints *ep, struct slice query)
{
    const struct alarm_set *alarms = server_alarms(ep->server);
    bool serializable = query_has(query, "serializable", "true");

    if (alarm_stands(alarms, ETCDSERVERPB__ALARM_TYPE__NOSPACE) &&
        !query_has(query, "exclude", "NOSPACE"))
        return "ALARM NOSPACE";
    if (alarm_stands(alarms, ETCDSERVERPB__ALARM_TYPE__CORRUPT) &&
        !query_has(query, "exclude", "CORRUPT"))
        return "ALARM CORRUPT";
    if (server_read_check(ep->server, serializable) < 0)
        return "RAFT NO LEADER";
    return NULL;
}

static void page_health(struct endpoints *ep, struct http_exchange *x, const char *sub)
{
    const char *reason = health_reason(ep, x->req->query);
    cleanup_free char *body = xasprintf("{\"health\":\"%s\",\"reason\":\"%s\"}",
                                        reason ? "false" : "true", reason ? reason : "");

    if (reason)
        ep->health_failures++;
    else
        ep->health_successes++;
    http_reply(x, reason ? 503 : 200, "application/json", slice_str(body));
}

/* One check by its path, or all of a kind: "ok", or the list of what failed and what did not. */
static void reply_checks(struct endpoints *ep, struct http_exchange *x, const char *page,
                         const char *sub, bool live)
{
    cleanup_buf struct buf lines;
    bool failed = false, found = false;

    buf_init(&lines, PAGE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        const struct check *c = &checks[i];
        if ((live && !c->live) || (*sub && strcmp(sub, c->name) != 0))
            continue;
        found = true;
        if (query_has(x->req->query, "exclude", c->name))
            continue;
        const char *why = c->run(ep->server);
        failed |= why != NULL;
        if (why)
            buf_printf(&lines, "[-]%s failed: %s\n", c->name, why);
        else
            buf_printf(&lines, "[+]%s ok\n", c->name);
    }
    if (!found) {
        reply_text(x, 404, "404 page not found\n");
        return;
    }
    if (!failed && !query_has(x->req->query, "verbose", ""))
        buf_clear(&lines);
    if (failed)
        buf_printf(&lines, "%s check failed\n", page);
    else
        buf_append_str(&lines, "ok\n");
    reply_text(x, failed ? 503 : 200, buf_cstr(&lines));
}

static void page_livez(struct endpoints *ep, struct http_exchange *x, const char *sub)
{
    reply_checks(ep, x, "livez", sub, true);
}

static void page_readyz(struct endpoints *ep, struct http_exchange *x, const char *sub)
{
    reply_checks(ep, x, "readyz", sub, false);
}

static void page_metrics(struct endpoints *ep, struct http_exchange *x, const char *sub)
{
    struct buf out;

    buf_init(&out, PAGE_MAX);
    metrics_export(ep->server, ep->methods, ep->health_successes, ep->health_failures, &out);
    http_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", buf_slice(&out));
    buf_deinit(&out);
}

struct page {
    const char *path;
    void (*reply)(struct endpoints *ep, struct http_exchange *x, const char *sub);
    bool has_sub; /* PATH/NAME is a page too */
};
static const struct page pages[] = {
    {"/version", page_version, false}, {"/health", page_health, false},
    {"/livez", page_livez, true},      {"/readyz", page_readyz, true},
    {"/metrics", page_metrics, false},
};

void endpoints_handle(void *ctx, struct http_exchange *x)
{
    char path[64]; /* longer than any page's */

    if (x->req->path.n < sizeof path) {
        memcpy(path, x->req->path.p, x->req->path.n);
        path[x->req->path.n] = 0;
        for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
            size_t n = strlen(pages[i].path);
            bool sub = pages[i].has_sub && strlen(path) > n && path[n] == '/';
            if (strncmp(path, pages[i].path, n) != 0 || (strlen(path) > n && !sub))
                continue;
            if (!refuse_other_methods(x))
                pages[i].reply(ctx, x, sub ? path + n + 1 : "");
            return;
        }
    }
    reply_text(x, 404, "404 page not found\n");
}
