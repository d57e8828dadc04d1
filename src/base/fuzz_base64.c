#include "base/base64.h"

#include "base/util.h"

/* What decodes must encode to the same text (strict form) and stay within the promised room. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_free uint8_t *bytes = xmalloc(base64_decoded_max(size));
    size_t n, n_any;

    int r_any = base64_decode_any(slice_of(data, size), bytes, &n_any);
    int r = base64_decode(slice_of(data, size), bytes, &n);
    if (r < 0)
        return 0;
    cleanup_free char *text = xmalloc(base64_encoded_len(n));
    base64_encode(bytes, n, text);
    if (r_any < 0 || n_any != n ||
        !slice_eq(slice_of(text, base64_encoded_len(n)), slice_of(data, size)))
        abort();
    return 0;
}
