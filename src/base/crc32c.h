/*
 * crc32c: CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of every record we persist.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what crc covered followed by these n bytes. Start with 0. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same without the CPU's own instruction: what crc32c falls back to, and its oracle in tests.
 */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
