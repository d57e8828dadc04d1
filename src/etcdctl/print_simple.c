#include "etcdctl/print.h"

#include "base/hex.h"
#include "etcdctl/gotext.h"
#include "rpc.pb-c.h"

static void hex_line(FILE *f, ProtobufCBinaryData b)
{
    for (size_t i = 0; i < b.len; i++)
        fprintf(f, "\\x%02x", b.data[i]);
    fputc('\n', f);
}

static void bytes_line(const struct out *o, ProtobufCBinaryData b)
{
    if (o->hex) {
        hex_line(o->f, b);
        return;
    }
    if (b.len) /* no bytes come as a null pointer, which fwrite must not see */
        fwrite(b.data, 1, b.len, o->f);
    fputc('\n', o->f);
}

static void kv_lines(const struct out *o, const Mvccpb__KeyValue *kv)
{
    if (!o->value_only)
        bytes_line(o, kv->key);
    bytes_line(o, kv->value);
}

static void put(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__PutResponse *r = (const void *)m;

    fputs("OK\n", o->f);
    if (r->prev_kv)
        kv_lines(o, r->prev_kv);
}

static void get(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__RangeResponse *r = (const void *)m;

    for (size_t i = 0; i < r->n_kvs; i++)
        kv_lines(o, r->kvs[i]);
}

static void del(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__DeleteRangeResponse *r = (const void *)m;

    fprintf(o->f, "%" PRId64 "\n", r->deleted);
    for (size_t i = 0; i < r->n_prev_kvs; i++)
        kv_lines(o, r->prev_kvs[i]);
}

static void txn(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__TxnResponse *r = (const void *)m;

    fputs(r->succeeded ? "SUCCESS\n" : "FAILURE\n", o->f);
    for (size_t i = 0; i < r->n_responses; i++) {
        const Etcdserverpb__ResponseOp *op = r->responses[i];
        fputc('\n', o->f);
        switch (op->response_case) {
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
            get(o, &op->response_range->base, arg);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
            put(o, &op->response_put->base, arg);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
            del(o, &op->response_delete_range->base, arg);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
            txn(o, &op->response_txn->base, arg);
            break;
        default:
            break;
        }
    }
}

static void watch(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__WatchResponse *r = (const void *)m;

    for (size_t i = 0; i < r->n_events; i++) {
        const Mvccpb__Event *e = r->events[i];
        fputs(e->type == MVCCPB__EVENT__EVENT_TYPE__DELETE ? "DELETE\n" : "PUT\n", o->f);
        if (e->prev_kv)
            kv_lines(o, e->prev_kv);
        if (e->kv)
            kv_lines(o, e->kv);
    }
}

static void grant(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseGrantResponse *r = (const void *)m;

    fprintf(o->f, "lease %016" PRIx64 " granted with TTL(%" PRId64 "s)\n", (uint64_t)r->id, r->ttl);
}

static void lease_revoke(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    fprintf(o->f, "lease %016" PRIx64 " revoked\n", arg->id);
}

static void keepalive(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseKeepAliveResponse *r = (const void *)m;

    fprintf(o->f, "lease %016" PRIx64 " keepalived with TTL(%" PRId64 ")\n", (uint64_t)r->id,
            r->ttl);
}

static void timetolive(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *r = (const void *)m;

    if (r->grantedttl == 0 && r->ttl == -1) {
        fprintf(o->f, "lease %016" PRIx64 " already expired\n", (uint64_t)r->id);
        return;
    }
    fprintf(o->f, "lease %016" PRIx64 " granted with TTL(%" PRId64 "s), remaining(%" PRId64 "s)",
            (uint64_t)r->id, r->grantedttl, r->ttl);
    if (arg->flag) {
        fputs(", attached keys([", o->f);
        for (size_t i = 0; i < r->n_keys; i++) {
            if (i > 0)
                fputc(' ', o->f);
            if (r->keys[i].len)
                fwrite(r->keys[i].data, 1, r->keys[i].len, o->f);
        }
        fputs("])", o->f);
    }
    fputc('\n', o->f);
}

static void leases(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseLeasesResponse *r = (const void *)m;

    fprintf(o->f, "found %zu leases\n", r->n_leases);
    for (size_t i = 0; i < r->n_leases; i++)
        fprintf(o->f, "%016" PRIx64 "\n", (uint64_t)r->leases[i]->id);
}

static void alarm_list(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__AlarmResponse *r = (const void *)m;

    for (size_t i = 0; i < r->n_alarms; i++) {
        const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
            &etcdserverpb__alarm_type__descriptor, (int)r->alarms[i]->alarm);
        if (r->alarms[i]->memberid)
            fprintf(o->f, "memberID:%" PRIu64 " ", r->alarms[i]->memberid);
        if (v && v->value)
            fprintf(o->f, "alarm:%s ", v->name);
        fputc('\n', o->f);
    }
}

static void cells_line(FILE *f, struct out_cells *c)
{
    for (size_t i = 0; i < c->n; i++)
        fprintf(f, "%s%s", i ? ", " : "", c->cell[i]);
    fputc('\n', f);
    out_cells_free(c);
}

static void member_list(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__MemberListResponse *r = (const void *)m;

    for (size_t i = 0; i < r->n_members; i++) {
        struct out_cells c;
        out_member_cells(&r->members[i]->base, &c);
        cells_line(o->f, &c);
    }
}

static uint64_t cluster_id(const Etcdserverpb__ResponseHeader *h)
{
    return h ? h->cluster_id : 0;
}

static void member_add(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__MemberAddResponse *r = (const void *)m;

    fprintf(o->f, "Member %16" PRIx64 " added%s to cluster %16" PRIx64 "\n",
            r->member ? r->member->id : 0, r->member && r->member->islearner ? " as learner" : "",
            cluster_id(r->header));
}

static void member_remove(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__MemberRemoveResponse *r = (const void *)m;

    fprintf(o->f, "Member %16" PRIx64 " removed from cluster %16" PRIx64 "\n", arg->id,
            cluster_id(r->header));
}

static void member_update(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__MemberUpdateResponse *r = (const void *)m;

    fprintf(o->f, "Member %16" PRIx64 " updated in cluster %16" PRIx64 "\n", arg->id,
            cluster_id(r->header));
}

static void member_promote(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__MemberPromoteResponse *r = (const void *)m;

    fprintf(o->f, "Member %16" PRIx64 " promoted in cluster %16" PRIx64 "\n", arg->id,
            cluster_id(r->header));
}

static void move_leader(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    fprintf(o->f, "Leadership transferred from %" PRIx64 " to %" PRIx64 "\n", arg->id, arg->id2);
}

static void health_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    char took[GOTEXT_MAX];

    for (size_t i = 0; i < n; i++) {
        if (*rows[i].error)
            fprintf(o->side, "%s is unhealthy: failed to commit proposal: %s\n", rows[i].endpoint,
                    rows[i].error);
        else
            fprintf(o->side, "%s is healthy: successfully committed proposal: took = %s\n",
                    rows[i].endpoint, go_duration(rows[i].took_ns, took));
    }
}

static void status_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct out_cells c;
        out_status_cells(&rows[i], &c);
        cells_line(o->f, &c);
    }
}

static void hashkv_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct out_cells c;
        out_hashkv_cells(&rows[i], &c);
        cells_line(o->f, &c);
    }
}

const struct out_format out_simple = {
    .name = "simple",
    .message =
        {
            [OUT_PUT] = put,
            [OUT_GET] = get,
            [OUT_DEL] = del,
            [OUT_TXN] = txn,
            [OUT_WATCH] = watch,
            [OUT_GRANT] = grant,
            [OUT_REVOKE] = lease_revoke,
            [OUT_KEEPALIVE] = keepalive,
            [OUT_TIMETOLIVE] = timetolive,
            [OUT_LEASES] = leases,
            [OUT_ALARM] = alarm_list,
            [OUT_MEMBER_LIST] = member_list,
            [OUT_MEMBER_ADD] = member_add,
            [OUT_MEMBER_REMOVE] = member_remove,
            [OUT_MEMBER_UPDATE] = member_update,
            [OUT_MEMBER_PROMOTE] = member_promote,
            [OUT_MOVE_LEADER] = move_leader,
        },
    .list = {[OUT_HEALTH] = health_list, [OUT_STATUS] = status_list, [OUT_HASHKV] = hashkv_list},
};
