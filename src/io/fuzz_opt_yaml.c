#include "io/opt_yaml.h"

struct conf {
    char *name;
    char **urls;
    uint64_t quota, tick_ms, interval_ns;
    bool flag;
    int mode;
};

static const char *const modes[] = {"periodic", "revision", NULL};
static const struct opt options[] = {
    OPT_STR("name", struct conf, name, .def = "default"),
    OPT_LIST("listen-client-urls", struct conf, urls),
    OPT_U64("quota-backend-bytes", struct conf, quota),
    OPT_MS("heartbeat-interval", struct conf, tick_ms, .min = 1, .max = 50000),
    OPT_DURATION("interval", struct conf, interval_ns),
    OPT_BOOL("pre-vote", struct conf, flag, .def = "true"),
    OPT_ENUM("auto-compaction-mode", struct conf, mode, .choices = modes),
    OPT_IGNORED("logger"),
    OPT_IGNORED("cert-file"),
    OPT_END,
};
static const struct opt_yaml_row rows[] = {
    {"client-transport-security", "cert-file", "cert-file"},
    {NULL, "logging", "logger"},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf conf = {0};
    struct opt_set set;
    struct err e = {0};

    opt_init(&set, options, &conf, NULL);
    int r = opt_yaml_parse(&set, slice_of(data, size), "fuzz", rows, &e);
    if (r != 0 && (r != ERR_CONFIG || e.code != ERR_CONFIG || !e.msg[0]))
        abort();
    opt_free(&set);
    return 0;
}
