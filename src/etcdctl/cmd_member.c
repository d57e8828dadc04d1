#include "etcdctl/ctl.h"

#include "etcdctl/gotext.h"

struct member_flags {
    struct ctl_flags g;
    char **peer_urls;
    bool learner;
    char *consistency;
};
#define PEER_URLS_ROW                                                                              \
    OPT_LIST("peer-urls", struct member_flags, peer_urls,                                          \
             .help = "comma separated peer URLs for the member")
static const struct opt add_rows[] = {
    PEER_URLS_ROW,
    OPT_BOOL("learner", struct member_flags, learner,
             .help = "indicates if the new member is raft learner"),
    OPT_END};
static const struct opt update_rows[] = {PEER_URLS_ROW, OPT_END};
static const struct opt list_rows[] = {OPT_STR("consistency", struct member_flags, consistency,
                                               .def = "l",
                                               .help = "Linearizable(l) or Serializable(s)"),
                                       OPT_END};

static int one_id(int argc, char **argv, uint64_t *ret)
{
    struct err e;

    if (argc != 1)
        return ctl_error(CTL_BAD_ARGS, "member ID is not provided");
    if (go_parse_uint(argv[0], 16, ret, &e) < 0)
        return ctl_error(CTL_BAD_ARGS, "bad member ID arg (%s), expecting ID in Hex", e.msg);
    return CTL_OK;
}

static int need_urls(const struct member_flags *f, size_t *ret_n)
{
    *ret_n = 0;
    while (f->peer_urls && f->peer_urls[*ret_n])
        (*ret_n)++;
    return *ret_n ? CTL_OK : ctl_error(CTL_BAD_ARGS, "member peer urls not provided");
}

static int list_members(struct ctl *ctl, bool linearizable, ProtobufCMessage **ret)
{
    Etcdserverpb__MemberListRequest request = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Cluster/MemberList",
        .request = &request.base,
        .response = &etcdserverpb__member_list_response__descriptor,
        .idempotent = true,
    };

    request.linearizable = linearizable;
    return ctl_call(ctl, &call, ret);
}

static int run_list(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct member_flags *f = (const void *)flags;
    cleanup_response ProtobufCMessage *response = NULL;
    bool serializable = strcmp(f->consistency, "s") == 0;

    if (!serializable && strcmp(f->consistency, "l") != 0)
        return ctl_error(CTL_BAD_FEATURE, "unknown consistency flag \"%s\"", f->consistency);
    int code = list_members(ctl, !serializable, &response);
    return code == CTL_OK ? ctl_print(ctl, OUT_MEMBER_LIST, response, NULL) : code;
}

/* The settings the new member is to be started with: every member's name and peer URLs. */
static void print_cluster(const Etcdserverpb__MemberListResponse *list, const char *name,
                          uint64_t id, char *const *urls, size_t n)
{
    const char *between = "";

    printf("\nETCD_NAME=\"%s\"\nETCD_INITIAL_CLUSTER=\"", name);
    for (size_t i = 0; i < list->n_members; i++) {
        const Etcdserverpb__Member *m = list->members[i];
        for (size_t k = 0; k < m->n_peerurls; k++) {
            printf("%s%s=%s", between, m->id == id ? name : m->name, m->peerurls[k]);
            between = ",";
        }
    }
    fputs("\"\nETCD_INITIAL_ADVERTISE_PEER_URLS=\"", stdout);
    for (size_t i = 0; i < n; i++)
        printf("%s%s", i ? "," : "", urls[i]);
    fputs("\"\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n", stdout);
}

static int run_add(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct member_flags *f = (const void *)flags;
    Etcdserverpb__MemberAddRequest request = ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Cluster/MemberAdd",
        .request = &request.base,
        .response = &etcdserverpb__member_add_response__descriptor,
    };
    cleanup_response ProtobufCMessage *response = NULL, *members = NULL;

    if (argc != 1)
        return ctl_error(CTL_BAD_ARGS, "member name not provided");
    int code = need_urls(f, &request.n_peerurls);
    if (code != CTL_OK)
        return code;
    request.peerurls = f->peer_urls;
    request.islearner = f->learner;
    code = ctl_call(ctl, &call, &response);
    if (code == CTL_OK)
        code = ctl_print(ctl, OUT_MEMBER_ADD, response, NULL);
    if (code != CTL_OK || ctl->out.format != &out_simple)
        return code;
    const Etcdserverpb__MemberAddResponse *added = (const void *)response;
    code = list_members(ctl, true, &members);
    if (code == CTL_OK)
        print_cluster((const void *)members, argv[0], added->member ? added->member->id : 0,
                      f->peer_urls, request.n_peerurls);
    return code;
}

static int run_remove(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    Etcdserverpb__MemberRemoveRequest request = ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Cluster/MemberRemove",
        .request = &request.base,
        .response = &etcdserverpb__member_remove_response__descriptor,
    };
    int code = one_id(argc, argv, &request.id);

    if (code != CTL_OK)
        return code;
    return ctl_call_print(ctl, &call, OUT_MEMBER_REMOVE, &(struct out_arg){.id = request.id});
}

static int run_update(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    const struct member_flags *f = (const void *)flags;
    Etcdserverpb__MemberUpdateRequest request = ETCDSERVERPB__MEMBER_UPDATE_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Cluster/MemberUpdate",
        .request = &request.base,
        .response = &etcdserverpb__member_update_response__descriptor,
    };
    int code = one_id(argc, argv, &request.id);

    if (code == CTL_OK)
        code = need_urls(f, &request.n_peerurls);
    if (code != CTL_OK)
        return code;
    request.peerurls = f->peer_urls;
    return ctl_call_print(ctl, &call, OUT_MEMBER_UPDATE, &(struct out_arg){.id = request.id});
}

static int run_promote(struct ctl *ctl, const struct ctl_flags *flags, int argc, char **argv)
{
    Etcdserverpb__MemberPromoteRequest request = ETCDSERVERPB__MEMBER_PROMOTE_REQUEST__INIT;
    const struct ctl_call call = {
        .path = "/etcdserverpb.Cluster/MemberPromote",
        .request = &request.base,
        .response = &etcdserverpb__member_promote_response__descriptor,
    };
    int code = one_id(argc, argv, &request.id);

    if (code != CTL_OK)
        return code;
    return ctl_call_print(ctl, &call, OUT_MEMBER_PROMOTE, &(struct out_arg){.id = request.id});
}

const struct command commands_member[] = {
    {"member list", "", "Lists all members in the cluster",
     "With the simple format the items are ID, Status, Name, Peer Addrs, Client Addrs, Is "
     "Learner.\n",
     list_rows, sizeof(struct member_flags), run_list},
    {"member add", "<memberName>", "Adds a member into the cluster",
     "$ etcdctl member add node2 --peer-urls=http://10.0.0.2:2380\n", add_rows,
     sizeof(struct member_flags), run_add},
    {"member remove", "<memberID>", "Removes a member from the cluster", NULL, NULL, 0, run_remove},
    {"member update", "<memberID>", "Updates a member in the cluster", NULL, update_rows,
     sizeof(struct member_flags), run_update},
    {"member promote", "<memberID>", "Promotes a non-voting member in the cluster", NULL, NULL, 0,
     run_promote},
    {.name = NULL}};
