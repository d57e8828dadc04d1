#include "etcdctl/ctl.h"

#include "base/clock.h"
#include "etcdctl/gotext.h"

#include <fcntl.h>

struct maintenance_flags {
    struct ctl_flags g;
    bool physical, cluster;
};
static const struct opt compaction_rows[] = {
    OPT_BOOL("physical", struct maintenance_flags, physical,
             .help = "wait until the compaction has removed everything it will from the storage"),
    OPT_END};
static const struct opt defrag_rows[] = {
    OPT_BOOL("cluster", struct maintenance_flags, cluster,
             .help = "use all endpoints from the cluster member list"),
    OPT_END};

static int run_compaction(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct maintenance_flags *f = (const void *)flags;
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.KV/Compact",
        .request = &request.base,
        .response = &etcdserverpb__compaction_response__descriptor,
    };
    cleanup_response ProtobufCMessage *response = NULL;
    struct err e;

    if (argc != 1)
        return ctl_error(CTL_BAD_ARGS, "compaction command needs 1 argument");
    if (go_parse_int(argv[0], 10, &request.revision, &e) < 0)
        return ctl_error(CTL_ERROR, "%s", e.msg);
    request.physical = f->physical;
    int code = ctl_call(ctl, &call, &response);
    if (code == CTL_OK)
        printf("compacted revision %" PRId64 "\n", request.revision);
    return code;
}

static int alarm_call(struct ctl *ctl, Etcdserverpb__AlarmRequest *request)
{
    const struct ctl_call call = {
        .path = "/etcdserverpb.Maintenance/Alarm",
        .request = &request->base,
        .response = &etcdserverpb__alarm_response__descriptor,
        .idempotent = request->action == ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET,
    };

    return ctl_call_print(ctl, &call, OUT_ALARM, NULL);
}

static int run_alarm_list(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;

    if (argc != 0)
        return ctl_error(CTL_BAD_ARGS, "alarm list command accepts no arguments");
    return alarm_call(ctl, &request);
}

/* Disarms each alarm that is raised, and prints what was disarmed. */
static int run_alarm_disarm(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    Etcdserverpb__AlarmRequest get = ETCDSERVERPB__ALARM_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Maintenance/Alarm",
        .request = &get.base,
        .response = &etcdserverpb__alarm_response__descriptor,
        .idempotent = true,
    };
    cleanup_response ProtobufCMessage *response = NULL;

    if (argc != 0)
        return ctl_error(CTL_BAD_ARGS, "alarm disarm command accepts no arguments");
    int code = ctl_call(ctl, &call, &response);
    if (code != CTL_OK)
        return code;
    const Etcdserverpb__AlarmResponse *raised = (const void *)response;
    for (size_t i = 0; i < raised->n_alarms && code == CTL_OK; i++) {
        Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;
        request.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
        request.memberid = raised->alarms[i]->memberid;
        request.alarm = raised->alarms[i]->alarm;
        code = alarm_call(ctl, &request);
    }
    return code;
}

static int defrag_one(struct ctl *ctl, const char *endpoint)
{
    Etcdserverpb__DefragmentRequest request = ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;
    cleanup_response ProtobufCMessage *response = NULL;
    uint64_t start = clock_mono_ns(&clock_system);
    char took[GOTEXT_MAX];
    struct err e = {0};
    int status = 0, code;
    cleanup_client struct client *c = ctl_client_for(ctl, endpoint, &code);

    if (!c)
        return code;
    int r =
        client_call(c, "/etcdserverpb.Maintenance/Defragment", &request.base,
                    &etcdserverpb__defragment_response__descriptor, false, &response, &status, &e);
    go_duration(clock_mono_ns(&clock_system) - start, took);
    if (r == 0) {
        printf("Finished defragmenting etcd member[%s]. took %s\n", endpoint, took);
        return CTL_OK;
    }
    ctl_call_text(&e, r, status);
    fprintf(stderr, "Failed to defragment etcd member[%s]. took %s. (%s)\n", endpoint, took, e.msg);
    return CTL_ERROR;
}

static int run_defrag(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct maintenance_flags *f = (const void *)flags;
    int code = CTL_OK, worst = CTL_OK;
    char **endpoints = ctl_endpoints(ctl, f->cluster, &code);

    for (char **at = endpoints; at && *at; at++) {
        code = defrag_one(ctl, *at);
        worst = code != CTL_OK ? code : worst;
    }
    ctl_endpoints_free(endpoints);
    return endpoints ? worst : code;
}

/*
 * snapshot save: into FILE.part, which becomes FILE once everything is on the disk.
 */

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Takes the stream to its end. version: of the server that sends, "" if it does not say. */
static int receive_snapshot(struct client_stream *s, int fd, char *version, size_t version_max,
                            struct err *e)
{
    uint64_t remaining = 0;

    for (;;) {
        cleanup_response ProtobufCMessage *m = NULL;
        int r = client_stream_recv(s, UINT64_MAX, -1, &m, e);
        if (r == 1)
            return remaining ? err_set(e, ERR_MALFORMED,
                                       "the snapshot ended %" PRIu64 " bytes early", remaining)
                             : 0;
        if (r < 0)
            return r;
        const Etcdserverpb__SnapshotResponse *part = (const void *)m;
        remaining = part->remaining_bytes;
        if (*part->version)
            snprintf(version, version_max, "%s", part->version);
        r = write_all(fd, part->blob.data, part->blob.len);
        if (r < 0)
            return err_set(e, r, "write the snapshot");
    }
}

static int sync_directory_of(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    cleanup_free char *dir =
        slash ? xasprintf("%.*s", (int)MAX(slash - path, 1), path) : xstrdup(".");
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return err_set(e, -errno, "sync directory '%s'", dir);
    return 0;
}

static int save_snapshot(struct client *c, const char *path, const char *part, char *version,
                         size_t version_max, struct err *e)
{
    Etcdserverpb__SnapshotRequest request = ETCDSERVERPB__SNAPSHOT_REQUEST__INIT;
    cleanup_close int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct client_stream *s = NULL;

    if (fd < 0)
        return err_set(e, -errno, "could not open %s", part);
    int r = client_stream_open(c, "/etcdserverpb.Maintenance/Snapshot",
                               &etcdserverpb__snapshot_response__descriptor, &s, e);
    if (r == 0)
        r = client_stream_send(s, &request.base, e);
    if (r == 0)
        r = client_stream_half_close(s, e);
    if (r == 0)
        r = receive_snapshot(s, fd, version, version_max, e);
    client_stream_close(s);
    if (r < 0)
        return r;
    if (fsync(fd) < 0)
        return err_set(e, -errno, "sync %s", part);
    if (rename(part, path) < 0)
        return err_set(e, -errno, "could not rename %s to %s", part, path);
    return sync_directory_of(path, e);
}

static int run_snapshot_save(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    char version[64] = "";
    struct err e = {0};
    int code;

    if (argc != 1)
        return ctl_error(CTL_BAD_ARGS, "snapshot save expects one argument");
    if (ctl->flags->endpoints && ctl->flags->endpoints[0] && ctl->flags->endpoints[1])
        return ctl_error(CTL_BAD_ARGS,
                         "snapshot must be requested to one selected node, not multiple");
    struct client *c = ctl_client(ctl, &code);
    if (!c)
        return code;
    cleanup_free char *part = xasprintf("%s.part", argv[0]);
    if (save_snapshot(c, argv[0], part, version, sizeof version, &e) < 0) {
        unlink(part);
        return ctl_error(CTL_INTERRUPTED, "%s", e.msg);
    }
    printf("Snapshot saved at %s\n", argv[0]);
    if (*version)
        printf("Server version %s\n", version);
    return CTL_OK;
}

static int run_snapshot_moved(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    return ctl_error(CTL_BAD_FEATURE, "this works on a file: use 'etcdutl snapshot status' or "
                                      "'etcdutl snapshot restore'");
}

/*
 * move-leader: asked of the endpoint that leads.
 */

static int move_leader(struct ctl *ctl, struct client *c, uint64_t from, uint64_t to)
{
    Etcdserverpb__MoveLeaderRequest request = ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
    cleanup_response ProtobufCMessage *response = NULL;
    struct err e = {0};
    int status = 0;

    request.targetid = to;
    int r =
        client_call(c, "/etcdserverpb.Maintenance/MoveLeader", &request.base,
                    &etcdserverpb__move_leader_response__descriptor, false, &response, &status, &e);
    if (r == 0)
        return ctl_print(ctl, OUT_MOVE_LEADER, response, &(struct out_arg){.id = from, .id2 = to});
    ctl_call_text(&e, r, status);
    return ctl_error(CTL_ERROR, "%s", e.msg);
}

/* *ret_leads: whether the endpoint is the leader, whose id goes to *ret_id. */
static int ask_leader(struct client *c, bool *ret_leads, uint64_t *ret_id)
{
    Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
    cleanup_response ProtobufCMessage *response = NULL;
    struct err e = {0};
    int status = 0;
    int r = client_call(c, "/etcdserverpb.Maintenance/Status", &request.base,
                        &etcdserverpb__status_response__descriptor, true, &response, &status, &e);

    if (r < 0) {
        ctl_call_text(&e, r, status);
        return ctl_error(CTL_ERROR, "%s", e.msg);
    }
    const Etcdserverpb__StatusResponse *s = (const void *)response;
    *ret_id = s->leader;
    *ret_leads = s->header && s->header->member_id == s->leader;
    return CTL_OK;
}

static int run_move_leader(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    uint64_t target, leader = 0;
    struct err e;

    if (argc != 1)
        return ctl_error(CTL_BAD_ARGS, "move-leader command needs 1 argument");
    if (go_parse_uint(argv[0], 16, &target, &e) < 0)
        return ctl_error(CTL_BAD_ARGS, "%s", e.msg);
    for (char **at = ctl->flags->endpoints; at && *at; at++) {
        bool leads = false;
        int code = CTL_OK;
        cleanup_client struct client *c = ctl_client_for(ctl, *at, &code);
        if (c)
            code = ask_leader(c, &leads, &leader);
        if (code != CTL_OK)
            return code;
        if (leads)
            return move_leader(ctl, c, leader, target);
    }
    return ctl_error(CTL_BAD_ARGS, "no leader endpoint given");
}

const struct command commands_maintenance[] = {
    {"compaction", "<revision>", "Compacts the event history in etcd",
     "$ etcdctl compaction 1234\ncompacted revision 1234\n", compaction_rows,
     sizeof(struct maintenance_flags), run_compaction},
    {"alarm list", "", "Lists all alarms", NULL, NULL, 0, run_alarm_list},
    {"alarm disarm", "", "Disarms all alarms", NULL, NULL, 0, run_alarm_disarm},
    {"defrag", "", "Defragments the storage of the etcd members with given endpoints", NULL,
     defrag_rows, sizeof(struct maintenance_flags), run_defrag},
    {"snapshot save", "<filename>", "Stores an etcd node backend snapshot to a given file",
     "$ etcdctl snapshot save backup.db\n", NULL, 0, run_snapshot_save},
    {"snapshot status", "<filename>", "Moved to etcdutl", NULL, NULL, 0, run_snapshot_moved},
    {"snapshot restore", "<filename>", "Moved to etcdutl", NULL, NULL, 0, run_snapshot_moved},
    {"move-leader", "<transferee-member-id>",
     "Transfers leadership to another etcd cluster member.", NULL, NULL, 0, run_move_leader},
    {.name = NULL}};
