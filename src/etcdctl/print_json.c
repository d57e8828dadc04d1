#include "etcdctl/print.h"

#include "base/hex.h"
#include "base/json_write.h"
#include "etcdctl/gotext.h"
#include "rpc.pb-c.h"

/* What Go's encoding/json makes of the generated structs: fields in order of declaration, empty
 * ones left out, bytes as base64, numbers plain, a oneof as an object named after it whose only
 * field has the Go name. */

struct json {
    struct json_writer w;
    struct buf text;
    bool hex_ids; /* ids as strings of hexadecimal digits: --hex of the member commands */
};

/* A gigabyte-sized answer grows by a third in base64. */
#define JSON_TEXT_MAX ((size_t)4 << 30)

static void write_message(struct json *j, const ProtobufCMessage *m);

static bool is_id(const char *name)
{
    return strcmp(name, "cluster_id") == 0 || strcmp(name, "member_id") == 0 ||
           strcmp(name, "ID") == 0;
}

static const void *field_at(const ProtobufCMessage *m, unsigned offset)
{
    return (const char *)m + offset;
}

static void write_u64(struct json *j, const char *name, uint64_t v)
{
    char digits[HEX_U64_MAX];

    if (j->hex_ids && is_id(name))
        json_write_str(&j->w, slice_str(hex_u64(v, digits)));
    else
        json_write_u64(&j->w, v);
}

/* One value of the field's type; p points at it. */
static void write_value(struct json *j, const ProtobufCFieldDescriptor *f, const void *p)
{
    const ProtobufCBinaryData *bytes = p;

    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        write_message(j, *(ProtobufCMessage *const *)p);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        json_write_base64(&j->w, slice_of(bytes->data, bytes->len));
        break;
    case PROTOBUF_C_TYPE_STRING:
        json_write_str(&j->w, slice_str(*(const char *const *)p));
        break;
    case PROTOBUF_C_TYPE_BOOL:
        json_write_bool(&j->w, *(const protobuf_c_boolean *)p);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        write_u64(j, f->name, *(const uint64_t *)p);
        break;
    case PROTOBUF_C_TYPE_INT64:
        json_write_i64(&j->w, *(const int64_t *)p);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        json_write_u64(&j->w, *(const uint32_t *)p);
        break;
    default: /* enums; the API has no other types */
        json_write_i64(&j->w, *(const int32_t *)p);
        break;
    }
}

static size_t value_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        return 8;
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(void *);
    default:
        return 4;
    }
}

static bool value_empty(const ProtobufCFieldDescriptor *f, const void *p)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return !*(ProtobufCMessage *const *)p;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)p)->len == 0;
    case PROTOBUF_C_TYPE_STRING:
        return !*(const char *const *)p || !**(const char *const *)p;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        return *(const uint64_t *)p == 0;
    default:
        return *(const uint32_t *)p == 0;
    }
}

/* "response_range" as Go names the field: "ResponseRange". */
static void write_go_key(struct json *j, const char *name)
{
    char go[64];
    size_t n = 0;
    bool up = true;

    for (; *name && n < sizeof go; name++) {
        if (*name == '_') {
            up = true;
            continue;
        }
        go[n++] = (char)(up && *name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
        up = false;
    }
    json_write_key(&j->w, slice_of(go, n));
}

static void write_oneof(struct json *j, const ProtobufCFieldDescriptor *f, const void *p)
{
    json_write_key(&j->w, SLICE_LIT("Response")); /* the only oneof in an answer */
    json_write_object(&j->w);
    write_go_key(j, f->name);
    write_value(j, f, p);
    json_write_object_end(&j->w);
}

static void write_repeated(struct json *j, const ProtobufCFieldDescriptor *f, const char *items,
                           size_t n)
{
    json_write_key(&j->w, slice_str(f->name));
    json_write_array(&j->w);
    for (size_t i = 0; i < n; i++)
        write_value(j, f, items + i * value_size(f->type));
    json_write_array_end(&j->w);
}

static void write_field(struct json *j, const ProtobufCMessage *m,
                        const ProtobufCFieldDescriptor *f)
{
    const void *p = field_at(m, f->offset);

    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(const size_t *)field_at(m, f->quantifier_offset);
        if (n > 0)
            write_repeated(j, f, *(const char *const *)p, n);
        return;
    }
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        if (*(const uint32_t *)field_at(m, f->quantifier_offset) == f->id)
            write_oneof(j, f, p);
        return;
    }
    if (value_empty(f, p))
        return;
    json_write_key(&j->w, slice_str(f->name));
    write_value(j, f, p);
}

static void write_fields(struct json *j, const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++)
        write_field(j, m, &m->descriptor->fields[i]);
}

static void write_message(struct json *j, const ProtobufCMessage *m)
{
    json_write_object(&j->w);
    write_fields(j, m);
    json_write_object_end(&j->w);
}

static void begin(struct json *j)
{
    *j = (struct json){0};
    buf_init(&j->text, JSON_TEXT_MAX);
    json_write_init(&j->w, &j->text, JSON_HTML);
}

static void end(struct json *j, struct out *o)
{
    if (json_write_finish(&j->w) == 0)
        fwrite(j->text.p, 1, j->text.n, o->f);
    fputc('\n', o->f);
    buf_deinit(&j->text);
}

static void plain(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    struct json j;

    begin(&j);
    write_message(&j, m);
    end(&j, o);
}

static void member(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    struct json j;

    begin(&j);
    j.hex_ids = o->hex;
    write_message(&j, m);
    end(&j, o);
}

static void key_i64(struct json *j, const char *key, int64_t v)
{
    json_write_key(&j->w, slice_str(key));
    json_write_i64(&j->w, v);
}

/* The client's lease answers embed the header: its fields stand beside their own. */
static void begin_lease(struct json *j, const Etcdserverpb__ResponseHeader *h)
{
    begin(j);
    json_write_object(&j->w);
    if (h)
        write_fields(j, &h->base);
}

static void end_lease(struct json *j, struct out *o)
{
    json_write_object_end(&j->w);
    end(j, o);
}

static void grant(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseGrantResponse *r = (const void *)m;
    struct json j;

    begin_lease(&j, r->header);
    key_i64(&j, "ID", r->id);
    key_i64(&j, "TTL", r->ttl);
    json_write_key(&j.w, SLICE_LIT("Error"));
    json_write_str(&j.w, slice_str(r->error));
    end_lease(&j, o);
}

static void keepalive(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseKeepAliveResponse *r = (const void *)m;
    struct json j;

    begin_lease(&j, r->header);
    key_i64(&j, "ID", r->id);
    key_i64(&j, "TTL", r->ttl);
    end_lease(&j, o);
}

static void timetolive(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *r = (const void *)m;
    struct json j;

    begin_lease(&j, r->header);
    key_i64(&j, "id", r->id);
    key_i64(&j, "ttl", r->ttl);
    key_i64(&j, "granted-ttl", r->grantedttl);
    json_write_key(&j.w, SLICE_LIT("keys"));
    if (r->n_keys == 0)
        json_write_null(&j.w);
    else
        json_write_array(&j.w);
    for (size_t i = 0; i < r->n_keys; i++)
        json_write_base64(&j.w, slice_of(r->keys[i].data, r->keys[i].len));
    if (r->n_keys > 0)
        json_write_array_end(&j.w);
    end_lease(&j, o);
}

static void leases(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__LeaseLeasesResponse *r = (const void *)m;
    struct json j;

    begin_lease(&j, r->header);
    json_write_key(&j.w, SLICE_LIT("leases"));
    json_write_array(&j.w);
    for (size_t i = 0; i < r->n_leases; i++) {
        json_write_object(&j.w);
        key_i64(&j, "id", r->leases[i]->id);
        json_write_object_end(&j.w);
    }
    json_write_array_end(&j.w);
    end_lease(&j, o);
}

static void watch(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    const Etcdserverpb__WatchResponse *r = (const void *)m;
    struct json j;

    begin(&j);
    json_write_object(&j.w);
    json_write_key(&j.w, SLICE_LIT("Header"));
    json_write_object(&j.w);
    if (r->header)
        write_fields(&j, &r->header->base);
    json_write_object_end(&j.w);
    json_write_key(&j.w, SLICE_LIT("Events"));
    json_write_array(&j.w);
    for (size_t i = 0; i < r->n_events; i++)
        write_message(&j, &r->events[i]->base);
    json_write_array_end(&j.w);
    key_i64(&j, "CompactRevision", r->compact_revision);
    json_write_key(&j.w, SLICE_LIT("Canceled"));
    json_write_bool(&j.w, r->canceled);
    json_write_key(&j.w, SLICE_LIT("Created"));
    json_write_bool(&j.w, r->created);
    json_write_object_end(&j.w);
    end(&j, o);
}

static void endpoint_list(struct out *o, const struct out_endpoint *rows, size_t n,
                          const char *answer_key)
{
    struct json j;

    begin(&j);
    json_write_array(&j.w);
    for (size_t i = 0; i < n; i++) {
        json_write_object(&j.w);
        json_write_key(&j.w, SLICE_LIT("Endpoint"));
        json_write_str(&j.w, slice_str(rows[i].endpoint));
        json_write_key(&j.w, slice_str(answer_key));
        write_message(&j, rows[i].response);
        json_write_object_end(&j.w);
    }
    json_write_array_end(&j.w);
    end(&j, o);
}

static void status_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    endpoint_list(o, rows, n, "Status");
}

static void hashkv_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    endpoint_list(o, rows, n, "HashKV");
}

static void health_list(struct out *o, const struct out_endpoint *rows, size_t n)
{
    char took[GOTEXT_MAX];
    struct json j;

    begin(&j);
    json_write_array(&j.w);
    for (size_t i = 0; i < n; i++) {
        json_write_object(&j.w);
        json_write_key(&j.w, SLICE_LIT("endpoint"));
        json_write_str(&j.w, slice_str(rows[i].endpoint));
        json_write_key(&j.w, SLICE_LIT("health"));
        json_write_bool(&j.w, !*rows[i].error);
        json_write_key(&j.w, SLICE_LIT("took"));
        json_write_str(&j.w, slice_str(go_duration(rows[i].took_ns, took)));
        if (*rows[i].error) {
            json_write_key(&j.w, SLICE_LIT("error"));
            json_write_str(&j.w, slice_str(rows[i].error));
        }
        json_write_object_end(&j.w);
    }
    json_write_array_end(&j.w);
    end(&j, o);
}

const struct out_format out_json = {
    .name = "json",
    .message =
        {
            [OUT_PUT] = plain,
            [OUT_GET] = plain,
            [OUT_DEL] = plain,
            [OUT_TXN] = plain,
            [OUT_WATCH] = watch,
            [OUT_GRANT] = grant,
            [OUT_REVOKE] = plain,
            [OUT_KEEPALIVE] = keepalive,
            [OUT_TIMETOLIVE] = timetolive,
            [OUT_LEASES] = leases,
            [OUT_ALARM] = plain,
            [OUT_MEMBER_LIST] = member,
            [OUT_MEMBER_ADD] = member,
            [OUT_MEMBER_REMOVE] = member,
            [OUT_MEMBER_UPDATE] = member,
            [OUT_MEMBER_PROMOTE] = member,
            [OUT_MOVE_LEADER] = plain,
        },
    .list = {[OUT_HEALTH] = health_list, [OUT_STATUS] = status_list, [OUT_HASHKV] = hashkv_list},
};
