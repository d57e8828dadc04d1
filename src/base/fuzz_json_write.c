#include "base/json_write.h"

#include "base/utf8.h"

#define ROOM 64 /* small, so that inputs meet its end */

/* Whatever goes in, the text is UTF-8 without control characters or bare quotes, and it does not
 * matter in how many turns it was written. */
static void check(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == '"')
            abort();
        if (s.p[i] == '\\' && ++i >= s.n)
            abort();
    }
    if (!utf8_valid(s))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned flags = size && data[0] & 1 ? JSON_HTML : 0;
    struct slice in = slice_of(data, size);
    cleanup_buf struct buf whole, turns;
    struct json_writer w;

    buf_init(&whole, 6 * size + 2);
    buf_init(&turns, 6 * size + 2);
    json_write_init(&w, &whole, flags);
    json_write_str(&w, in);
    if (json_write_finish(&w) < 0)
        abort();
    buf_append_byte(&turns, '"');
    while (in.n) {
        char out[ROOM];
        size_t n = json_escape(&in, flags, out, sizeof out);
        if (n == 0 || buf_append(&turns, out, n) < 0)
            abort();
    }
    buf_append_byte(&turns, '"');
    if (!slice_eq(buf_slice(&whole), buf_slice(&turns)))
        abort();
    check(slice_of(whole.p + 1, whole.n - 2));
    return 0;
}
