/*
 * alarm: which alarms stand, and what they forbid. Pure; kept in the store's meta table as a list
 * of (member, type).
 */
#ifndef ETCD_ALARM_H
#define ETCD_ALARM_H

#include "base/err.h"
#include "base/slice.h"
#include "rpc.pb-c.h"

#define ALARMS_MAX 64 /* members x types; a cluster has at most a handful of members */

struct alarm {
    uint64_t member_id;
    Etcdserverpb__AlarmType type;
};
struct alarm_set {
    struct alarm list[ALARMS_MAX];
    size_t n;
};

/* Both return true when the set changed. */
bool alarm_raise(struct alarm_set *s, uint64_t member_id, Etcdserverpb__AlarmType type);
bool alarm_clear(struct alarm_set *s, uint64_t member_id, Etcdserverpb__AlarmType type);
bool alarm_stands(const struct alarm_set *s, Etcdserverpb__AlarmType type);

/* The stored form: 12 bytes each (member id, type, little endian). out: ALARM_ENCODED_MAX bytes;
 * returns the length. */
#define ALARM_ENCODED_MAX (ALARMS_MAX * 12)
size_t alarm_encode(const struct alarm_set *s, uint8_t *out);
int alarm_decode(struct alarm_set *s, struct slice in); /* 0 or ERR_DATA_DAMAGED */

#endif
