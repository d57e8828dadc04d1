#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "etcdctl/perf_stats.h"
#include "etcdctl/print.h"
#include "rpc.pb-c.h"

#define BYTES(s) ((ProtobufCBinaryData){sizeof(s) - 1, (uint8_t *)(uintptr_t)(s)})

/* Prints into memory; the caller frees. */
static char *printed(const char *format, enum out_kind kind, const ProtobufCMessage *m,
                     const struct out_arg *arg, bool hex)
{
    char *text = NULL;
    size_t n = 0;
    struct out o = {.format = out_format_find(format), .f = open_memstream(&text, &n), .hex = hex};
    struct err e;

    o.side = o.f;
    assert_non_null(o.format);
    assert_int_equal(out_message(&o, kind, m, arg, &e), 0);
    fclose(o.f);
    return text;
}

static void expect(const char *format, enum out_kind kind, const ProtobufCMessage *m,
                   const struct out_arg *arg, const char *want)
{
    char *text = printed(format, kind, m, arg, false);

    assert_string_equal(text, want);
    free(text);
}

static Etcdserverpb__ResponseHeader header = {
    PROTOBUF_C_MESSAGE_INIT(&etcdserverpb__response_header__descriptor), 12731130392428672532ULL,
    7222618211964737678ULL, 5, 2};

static void range_answers(void **state)
{
    Etcdserverpb__RangeResponse r = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT, *kvs[] = {&kv};

    kv.key = BYTES("a");
    kv.value = BYTES("b\"\n");
    kv.create_revision = kv.mod_revision = 5;
    kv.version = 1;
    r.header = &header;
    r.kvs = kvs;
    r.n_kvs = r.count = 1;
    expect("simple", OUT_GET, &r.base, NULL, "a\nb\"\n\n");
    expect("json", OUT_GET, &r.base, NULL,
           "{\"header\":{\"cluster_id\":12731130392428672532,\"member_id\":7222618211964737678,"
           "\"revision\":5,\"raft_term\":2},\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":5,"
           "\"mod_revision\":5,\"version\":1,\"value\":\"YiIK\"}],\"count\":1}\n");
    expect("fields", OUT_GET, &r.base, NULL,
           "\"ClusterID\" : 12731130392428672532\n\"MemberID\" : 7222618211964737678\n"
           "\"Revision\" : 5\n\"RaftTerm\" : 2\n\"Key\" : \"a\"\n\"CreateRevision\" : 5\n"
           "\"ModRevision\" : 5\n\"Version\" : 1\n\"Value\" : \"b\\\"\\n\"\n\"Lease\" : 0\n"
           "\"More\" : false\n\"Count\" : 1\n");
    char *hex = printed("simple", OUT_GET, &r.base, NULL, true);
    assert_string_equal(hex, "\\x61\n\\x62\\x22\\x0a\n");
    free(hex);
}

static void txn_answers_name_the_oneof(void **state)
{
    Etcdserverpb__TxnResponse r = ETCDSERVERPB__TXN_RESPONSE__INIT;
    Etcdserverpb__ResponseOp op = ETCDSERVERPB__RESPONSE_OP__INIT, *ops[] = {&op};
    Etcdserverpb__DeleteRangeResponse del = ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;

    op.response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
    op.response_delete_range = &del;
    del.deleted = 2;
    r.succeeded = true;
    r.responses = ops;
    r.n_responses = 1;
    expect("json", OUT_TXN, &r.base, NULL,
           "{\"succeeded\":true,\"responses\":[{\"Response\":{\"ResponseDeleteRange\":{"
           "\"deleted\":2}}}]}\n");
    expect("simple", OUT_TXN, &r.base, NULL, "SUCCESS\n\n2\n");
}

static void watch_answers(void **state)
{
    Etcdserverpb__WatchResponse r;
    Mvccpb__Event event = MVCCPB__EVENT__INIT, *events[] = {&event};
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;

    etcdserverpb__watch_response__init(&r);
    event.type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
    event.kv = &kv;
    kv.key = BYTES("w1");
    kv.mod_revision = 23;
    expect("json", OUT_WATCH, &r.base, NULL,
           "{\"Header\":{},\"Events\":[],\"CompactRevision\":0,\"Canceled\":false,\"Created\":"
           "false}\n");
    r.events = events;
    r.n_events = 1;
    expect("json", OUT_WATCH, &r.base, NULL,
           "{\"Header\":{},\"Events\":[{\"type\":1,\"kv\":{\"key\":\"dzE=\",\"mod_revision\":23}}],"
           "\"CompactRevision\":0,\"Canceled\":false,\"Created\":false}\n");
    expect("simple", OUT_WATCH, &r.base, NULL, "DELETE\nw1\n\n");
}

static void lease_answers_have_the_header_beside_them(void **state)
{
    Etcdserverpb__LeaseTimeToLiveResponse r = ETCDSERVERPB__LEASE_TIME_TO_LIVE_RESPONSE__INIT;
    const struct out_arg keys = {.flag = true};
    ProtobufCBinaryData attached[] = {BYTES("lk"), BYTES("lk2")};

    r.id = 0x123;
    r.ttl = -1;
    expect("simple", OUT_TIMETOLIVE, &r.base, NULL, "lease 0000000000000123 already expired\n");
    expect("json", OUT_TIMETOLIVE, &r.base, NULL,
           "{\"id\":291,\"ttl\":-1,\"granted-ttl\":0,\"keys\":null}\n");
    r.ttl = 43;
    r.grantedttl = 100;
    r.keys = attached;
    r.n_keys = 2;
    expect("simple", OUT_TIMETOLIVE, &r.base, &keys,
           "lease 0000000000000123 granted with TTL(100s), remaining(43s), attached keys([lk "
           "lk2])\n");
    expect("json", OUT_TIMETOLIVE, &r.base, NULL,
           "{\"id\":291,\"ttl\":43,\"granted-ttl\":100,\"keys\":[\"bGs=\",\"bGsy\"]}\n");
}

static void alarms(void **state)
{
    Etcdserverpb__AlarmResponse r = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    Etcdserverpb__AlarmMember member = ETCDSERVERPB__ALARM_MEMBER__INIT, *members[] = {&member};

    expect("json", OUT_ALARM, &r.base, NULL, "{}\n");
    expect("fields", OUT_ALARM, &r.base, NULL, "");
    member.memberid = 10;
    member.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    r.alarms = members;
    r.n_alarms = 1;
    expect("simple", OUT_ALARM, &r.base, NULL, "memberID:10 alarm:NOSPACE \n");
    expect("fields", OUT_ALARM, &r.base, NULL, "\"MemberID\" : 10\n\"AlarmType\" : NOSPACE\n\n");
    expect("json", OUT_ALARM, &r.base, NULL, "{\"alarms\":[{\"memberID\":10,\"alarm\":1}]}\n");
}

static void member_ids_in_hex_are_strings(void **state)
{
    Etcdserverpb__MemberListResponse r = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    Etcdserverpb__Member member, *members[] = {&member};
    char name[] = "a<b";

    etcdserverpb__member__init(&member);
    member.id = 0xabcdef;
    member.name = name;
    r.header = &header;
    r.members = members;
    r.n_members = 1;
    char *text = printed("json", OUT_MEMBER_LIST, &r.base, NULL, true);
    assert_string_equal(text, "{\"header\":{\"cluster_id\":\"b0ae0fa3b5e3f614\",\"member_id\":"
                              "\"643be4ff286cd88e\",\"revision\":5,\"raft_term\":2},\"members\":[{"
                              "\"ID\":\"abcdef\",\"name\":\"a\\u003cb\"}]}\n");
    free(text);
    expect("simple", OUT_MEMBER_LIST, &r.base, NULL, "abcdef, started, a<b, , , false\n");
    expect("table", OUT_MEMBER_LIST, &r.base, NULL,
           "+--------+---------+------+------------+--------------+------------+\n"
           "|   ID   | STATUS  | NAME | PEER ADDRS | CLIENT ADDRS | IS LEARNER |\n"
           "+--------+---------+------+------------+--------------+------------+\n"
           "| abcdef | started |  a<b |            |              |      false |\n"
           "+--------+---------+------+------------+--------------+------------+\n");
}

static void health_table_measures_characters(void **state)
{
    const struct out_endpoint rows[] = {{"127.0.0.1:2379", NULL, 993746, ""},
                                        {"b:1", NULL, 2000000000, "context deadline exceeded"}};
    char *text = NULL;
    size_t n = 0;
    struct out o = {.format = &out_table, .f = open_memstream(&text, &n)};
    struct err e;

    assert_int_equal(out_endpoints(&o, OUT_HEALTH, rows, 2, &e), 0);
    fclose(o.f);
    assert_string_equal(text,
                        "+----------------+--------+-----------+---------------------------+\n"
                        "|    ENDPOINT    | HEALTH |   TOOK    |           ERROR           |\n"
                        "+----------------+--------+-----------+---------------------------+\n"
                        "| 127.0.0.1:2379 |   true | 993.746µs |                           |\n"
                        "|            b:1 |  false |        2s | context deadline exceeded |\n"
                        "+----------------+--------+-----------+---------------------------+\n");
    free(text);
}

static void forms_without_the_kind_say_so(void **state)
{
    Etcdserverpb__PutResponse r = ETCDSERVERPB__PUT_RESPONSE__INIT;
    struct out o = {.format = &out_table, .f = stdout};
    struct err e;

    assert_int_equal(out_message(&o, OUT_PUT, &r.base, NULL, &e), ERR_UNIMPLEMENTED);
    assert_string_equal(e.msg, "table not supported as output format");
    o.format = &out_protobuf;
    assert_int_equal(out_endpoints(&o, OUT_STATUS, NULL, 0, &e), ERR_UNIMPLEMENTED);
    assert_null(out_format_find("xml"));
}

static void an_output_that_cannot_be_written_is_a_failure(void **state)
{
    Etcdserverpb__PutResponse r = ETCDSERVERPB__PUT_RESPONSE__INIT;
    struct out o = {.format = &out_simple, .f = fopen("/dev/full", "w")};
    struct err e;

    assert_non_null(o.f);
    assert_int_equal(out_message(&o, OUT_PUT, &r.base, NULL, &e), -EIO);
    fclose(o.f);
}

static void deviation_is_that_of_a_sample(void **state)
{
    static const double seconds[] = {2, 4, 4, 4, 5, 5, 7, 9};
    struct perf_stats s = {0};

    assert_true(perf_stats_stddev(&s) == 0);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        perf_stats_add(&s, seconds[i]);
    assert_true(s.slowest_s == 9);
    assert_true(perf_stats_stddev(&s) > 2.138 && perf_stats_stddev(&s) < 2.139);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_answers),
        cmocka_unit_test(txn_answers_name_the_oneof),
        cmocka_unit_test(watch_answers),
        cmocka_unit_test(lease_answers_have_the_header_beside_them),
        cmocka_unit_test(alarms),
        cmocka_unit_test(member_ids_in_hex_are_strings),
        cmocka_unit_test(health_table_measures_characters),
        cmocka_unit_test(forms_without_the_kind_say_so),
        cmocka_unit_test(an_output_that_cannot_be_written_is_a_failure),
        cmocka_unit_test(deviation_is_that_of_a_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
