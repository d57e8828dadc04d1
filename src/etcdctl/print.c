#include "etcdctl/print.h"

#include "base/util.h"

static const struct out_format *const formats[] = {&out_simple, &out_json, &out_fields, &out_table,
                                                   &out_protobuf};

const struct out_format *out_format_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

static int not_supported(const struct out *o, struct err *e)
{
    return err_set(e, ERR_UNIMPLEMENTED, "%s not supported as output format", o->format->name);
}

/* What cannot be written (a full disk, a closed pipe) must not look like success. */
static int flush(struct out *o, struct err *e)
{
    if (fflush(o->f) != 0 || ferror(o->f))
        return err_set(e, -EIO, "write the output");
    return 0;
}

int out_message(struct out *o, enum out_kind kind, const ProtobufCMessage *m,
                const struct out_arg *arg, struct err *e)
{
    static const struct out_arg none;

    assert(kind < OUT_KINDS);
    if (!o->format->message[kind])
        return not_supported(o, e);
    o->format->message[kind](o, m, arg ? arg : &none);
    return flush(o, e);
}

int out_endpoints(struct out *o, enum out_list list, const struct out_endpoint *rows, size_t n,
                  struct err *e)
{
    assert(list < OUT_LISTS);
    if (!o->format->list[list])
        return not_supported(o, e);
    o->format->list[list](o, rows, n);
    return flush(o, e);
}

static void protobuf_message(struct out *o, const ProtobufCMessage *m, const struct out_arg *arg)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    cleanup_free uint8_t *bytes = xmalloc(n + 1);

    protobuf_c_message_pack(m, bytes);
    fwrite(bytes, 1, n, o->f);
}

const struct out_format out_protobuf = {
    .name = "protobuf",
    .message =
        {
            [OUT_PUT] = protobuf_message,
            [OUT_GET] = protobuf_message,
            [OUT_DEL] = protobuf_message,
            [OUT_TXN] = protobuf_message,
            [OUT_WATCH] = protobuf_message,
            [OUT_GRANT] = protobuf_message,
            [OUT_REVOKE] = protobuf_message,
            [OUT_KEEPALIVE] = protobuf_message,
            [OUT_TIMETOLIVE] = protobuf_message,
            [OUT_LEASES] = protobuf_message,
            [OUT_ALARM] = protobuf_message,
            [OUT_MEMBER_LIST] = protobuf_message,
            [OUT_MEMBER_ADD] = protobuf_message,
            [OUT_MEMBER_REMOVE] = protobuf_message,
            [OUT_MEMBER_UPDATE] = protobuf_message,
            [OUT_MEMBER_PROMOTE] = protobuf_message,
            [OUT_MOVE_LEADER] = protobuf_message,
        },
};
