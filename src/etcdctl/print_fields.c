#include "etcdctl/print.h"

#include "etcdctl/goquote.h"
#include "etcdctl/gotext.h"
#include "rpc.pb-c.h"

/* A value quoted as Go does may be four times as long. */
#define QUOTED_MAX ((size_t)8 << 30)

static void quoted(FILE *f, const char *prefix, const char *name, struct slice v)
{
    cleanup_buf struct buf text;

    buf_init(&text, QUOTED_MAX);
    if (go_quote(&text, v) < 0)
        return;
    fprintf(f, "\"%s%s\" : ", prefix, name);
    if (text.n)
        fwrite(text.p, 1, text.n, f);
    fputc('\n', f);
}

static void number(FILE *f, const char *prefix, const char *name, int64_t v)
{
    fprintf(f, "\"%s%s\" : %" PRId64 "\n", prefix, name, v);
}

static void unsigned_number(FILE *f, const char *name, uint64_t v)
{
    fprintf(f, "\"%s\" : %" PRIu64 "\n", name, v);
}

static void boolean(FILE *f, const char *name, bool v)
{
    fprintf(f, "\"%s\" : %s\n", name, v ? "true" : "false");
}

static struct slice bytes(ProtobufCBinaryData b)
{
    return slice_of(b.data, b.len);
}

static void header(FILE *f, const Etcdserverpb__ResponseHeader *h)
{
    if (!h)
        return;
    unsigned_number(f, "ClusterID", h->cluster_id);
    unsigned_number(f, "MemberID", h->member_id);
    number(f, "", "Revision", h->revision);
    unsigned_number(f, "RaftTerm", h->raft_term);
}

static void key_value(FILE *f, const char *prefix, const Mvccpb__KeyValue *kv)
{
    quoted(f, prefix, "Key", bytes(kv->key));
    number(f, prefix, "CreateRevision", kv->create_revision);
    number(f, prefix, "ModRevision", kv->mod_revision);
    number(f, prefix, "Version", kv->version);
    quoted(f, prefix, "Value", bytes(kv->value));
    number(f, prefix, "Lease", kv->lease);
}

static void put(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__PutResponse *r = (const void *)m;

    header(o->f, r->header);
    if (r->prev_kv)
        key_value(o->f, "Prev", r->prev_kv);
}

static void get(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__RangeResponse *r = (const void *)m;

    header(o->f, r->header);
    for (size_t i = 0; i < r->n_kvs; i++)
        key_value(o->f, "", r->kvs[i]);
    boolean(o->f, "More", r->more);
    number(o->f, "", "Count", r->count);
}

static void del(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__DeleteRangeResponse *r = (const void *)m;

    header(o->f, r->header);
    number(o->f, "", "Deleted", r->deleted);
    for (size_t i = 0; i < r->n_prev_kvs; i++)
        key_value(o->f, "Prev", r->prev_kvs[i]);
}

static void txn(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__TxnResponse *r = (const void *)m;

    header(o->f, r->header);
    boolean(o->f, "Succeeded", r->succeeded);
    for (size_t i = 0; i < r->n_responses; i++) {
        const Etcdserverpb__ResponseOp *op = r->responses[i];
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

    header(o->f, r->header);
    for (size_t i = 0; i < r->n_events; i++) {
        const Mvccpb__Event *e = r->events[i];
        fprintf(o->f, "\"Type\" : %s\n",
                e->type == MVCCPB__EVENT__EVENT_TYPE__DELETE ? "DELETE" : "PUT");
        if (e->prev_kv)
            key_value(o->f, "Prev", e->prev_kv);
        if (e->kv)
            key_value(o->f, "", e->kv);
    }
}

static void grant(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseGrantResponse *r = (const void *)m;

    header(o->f, r->header);
    number(o->f, "", "ID", r->id);
    number(o->f, "", "TTL", r->ttl);
}

static void lease_revoke(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    header(o->f, ((const Etcdserverpb__LeaseRevokeResponse *)(const void *)m)->header);
}

static void keepalive(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseKeepAliveResponse *r = (const void *)m;

    header(o->f, r->header);
    number(o->f, "", "ID", r->id);
    number(o->f, "", "TTL", r->ttl);
}

static void timetolive(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *r = (const void *)m;

    header(o->f, r->header);
    number(o->f, "", "ID", r->id);
    number(o->f, "", "TTL", r->ttl);
    number(o->f, "", "GrantedTTL", r->grantedttl);
    for (size_t i = 0; i < r->n_keys; i++)
        quoted(o->f, "", "Key", bytes(r->keys[i]));
}

static void leases(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseLeasesResponse *r = (const void *)m;

    header(o->f, r->header);
    for (size_t i = 0; i < r->n_leases; i++)
        number(o->f, "", "ID", r->leases[i]->id);
}

static void alarm_list(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__AlarmResponse *r = (const void *)m;

    header(o->f, r->header);
    for (size_t i = 0; i < r->n_alarms; i++) {
        const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
            &etcdserverpb__alarm_type__descriptor, (int)r->alarms[i]->alarm);
        unsigned_number(o->f, "MemberID", r->alarms[i]->memberid);
        if (v)
            fprintf(o->f, "\"AlarmType\" : %s\n\n", v->name);
        else
            fprintf(o->f, "\"AlarmType\" : %d\n\n", (int)r->alarms[i]->alarm);
    }
}

static void member_list(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__MemberListResponse *r = (const void *)m;

    header(o->f, r->header);
    for (size_t i = 0; i < r->n_members; i++) {
        const Etcdserverpb__Member *member = r->members[i];
        if (o->hex)
            fprintf(o->f, "\"ID\" : %" PRIx64 "\n", member->id);
        else
            unsigned_number(o->f, "ID", member->id);
        quoted(o->f, "", "Name", slice_str(member->name));
        for (size_t k = 0; k < member->n_peerurls; k++)
            quoted(o->f, "", "PeerURL", slice_str(member->peerurls[k]));
        for (size_t k = 0; k < member->n_clienturls; k++)
            quoted(o->f, "", "ClientURL", slice_str(member->clienturls[k]));
        boolean(o->f, "IsLearner", member->islearner);
        fputc('\n', o->f);
    }
}

static void health_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    char took[GOTEXT_MAX];

    for (size_t i = 0; i < n; i++) {
        quoted(o->f, "", "Endpoint", slice_str(rows[i].endpoint));
        boolean(o->f, "Health", !*rows[i].error);
        fprintf(o->f, "\"Took\" : %s\n", go_duration(rows[i].took_ns, took));
        fprintf(o->f, "\"Error\" : %s\n\n", rows[i].error);
    }
}

static void status_numbers(FILE *f, const Etcdserverpb__StatusResponse *r)
{
    number(f, "", "DBSize", r->dbsize);
    number(f, "", "DBSizeInUse", r->dbsizeinuse);
    number(f, "", "DBSizeQuota", r->dbsizequota);
    unsigned_number(f, "Leader", r->leader);
    boolean(f, "IsLearner", r->islearner);
    unsigned_number(f, "RaftIndex", r->raftindex);
    unsigned_number(f, "RaftTerm", r->raftterm);
    unsigned_number(f, "RaftAppliedIndex", r->raftappliedindex);
}

static void status_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const Etcdserverpb__StatusResponse *r = (const void *)rows[i].response;
        const Etcdserverpb__DowngradeInfo *d = r->downgradeinfo;
        header(o->f, r->header);
        quoted(o->f, "", "Version", slice_str(r->version));
        quoted(o->f, "", "StorageVersion", slice_str(r->storageversion));
        status_numbers(o->f, r);
        fputs("\"Errors\" : [", o->f);
        for (size_t k = 0; k < r->n_errors; k++)
            fprintf(o->f, "%s%s", k ? " " : "", r->errors[k]);
        fputs("]\n", o->f);
        quoted(o->f, "", "Endpoint", slice_str(rows[i].endpoint));
        quoted(o->f, "", "DowngradeTargetVersion", slice_str(d ? d->targetversion : ""));
        boolean(o->f, "DowngradeEnabled", d && d->enabled);
        fputc('\n', o->f);
    }
}

static void hashkv_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const Etcdserverpb__HashKVResponse *r = (const void *)rows[i].response;
        header(o->f, r->header);
        quoted(o->f, "", "Endpoint", slice_str(rows[i].endpoint));
        unsigned_number(o->f, "Hash", r->hash);
        number(o->f, "", "HashRevision", r->hash_revision);
        fputc('\n', o->f);
    }
}

const struct out_format out_fields = {
    .name = "fields",
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
        },
    .list = {[OUT_HEALTH] = health_list, [OUT_STATUS] = status_list, [OUT_HASHKV] = hashkv_list},
};
