/*
 * hex: bytes and 64-bit ids as hexadecimal text. Output is lower case; input may be either.
 */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/slice.h"

#define HEX_U64_MAX 17 /* 16 digits and a NUL */

/* 2 * n digits to out, no NUL. */
void hex_encode(const void *p, size_t n, char *out);
/* text.n / 2 bytes to out. 0, or -EINVAL when the length is odd or a character is no digit; out may
 * then hold a part. */
int hex_decode(struct slice text, uint8_t *out);
/* As %x prints: no leading zeros. Returns out, which has room for HEX_U64_MAX. */
char *hex_u64(uint64_t v, char out[HEX_U64_MAX]);
/* 0; -EINVAL: empty or a character that is no digit; -ERANGE: past 64 bits. */
int hex_u64_parse(struct slice text, uint64_t *ret_v);
/* Value of one digit, or -1. */
int hex_digit(uint8_t c);

#endif
