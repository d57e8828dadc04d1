#include "base/opt_internal.h"

/* What parses can be printed and parses again to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_free char *text = xasprintf("%.*s", (int)size, (const char *)data);
    char again[32];
    uint64_t ns, back;

    if (opt_parse_duration(text, &ns) < 0)
        return 0;
    if (ns > INT64_MAX || opt_parse_duration(opt_format_duration(ns, again), &back) < 0 ||
        back != ns)
        abort();
    return 0;
}
