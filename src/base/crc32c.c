#include "base/crc32c.h"

#include <stdbool.h>
#include <string.h>

#define POLY_REFLECTED 0x82f63b78u

static uint32_t table[256];

__attribute__((constructor)) static void fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ POLY_REFLECTED : c >> 1;
        table[i] = c;
    }
}

static uint32_t by_table(uint32_t c, const uint8_t *p, size_t n)
{
    while (n--)
        c = table[(c ^ *p++) & 0xff] ^ c >> 8;
    return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_cpu(uint32_t c, const uint8_t *p, size_t n)
{
    uint64_t c64 = c;

    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        c64 = __builtin_ia32_crc32di(c64, v);
    }
    c = (uint32_t)c64;
    while (n--)
        c = __builtin_ia32_crc32qi(c, *p++);
    return c;
}
static bool cpu_has_crc(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
#define by_cpu by_table
static bool cpu_has_crc(void)
{
    return false;
}
#endif

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n)
{
    return ~by_table(~crc, p, n);
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return ~(cpu_has_crc() ? by_cpu(~crc, p, n) : by_table(~crc, p, n));
}
