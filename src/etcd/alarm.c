#include "etcd/alarm.h"

#define ALARM_BYTES 12

static struct alarm *find(struct alarm_set *s, uint64_t member_id, Etcdserverpb__AlarmType type)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].member_id == member_id && s->list[i].type == type)
            return &s->list[i];
    return NULL;
}

bool alarm_raise(struct alarm_set *s, uint64_t member_id, Etcdserverpb__AlarmType type)
{
    if (find(s, member_id, type) || s->n == ALARMS_MAX)
        return false;
    s->list[s->n++] = (struct alarm){member_id, type};
    return true;
}

bool alarm_clear(struct alarm_set *s, uint64_t member_id, Etcdserverpb__AlarmType type)
{
    struct alarm *a = find(s, member_id, type);

    if (!a)
        return false;
    *a = s->list[--s->n];
    return true;
}

bool alarm_stands(const struct alarm_set *s, Etcdserverpb__AlarmType type)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].type == type)
            return true;
    return false;
}

size_t alarm_encode(const struct alarm_set *s, uint8_t *out)
{
    for (size_t i = 0; i < s->n; i++) {
        put_le64(out + i * ALARM_BYTES, s->list[i].member_id);
        put_le32(out + i * ALARM_BYTES + 8, (uint32_t)s->list[i].type);
    }
    return s->n * ALARM_BYTES;
}

int alarm_decode(struct alarm_set *s, struct slice in)
{
    *s = (struct alarm_set){0};
    if (in.n % ALARM_BYTES != 0 || in.n > ALARM_ENCODED_MAX)
        return ERR_DATA_DAMAGED;
    for (size_t i = 0; i < in.n; i += ALARM_BYTES)
        alarm_raise(s, get_le64(in.p + i), (Etcdserverpb__AlarmType)get_le32(in.p + i + 8));
    return 0;
}
