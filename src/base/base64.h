/*
 * base64: bytes as text, RFC 4648. Encoding is the standard alphabet with padding, as Go's
 * encoding/json writes bytes.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/slice.h"

/* Characters base64_encode writes for n bytes (n below 3/4 of SIZE_MAX). */
static inline size_t base64_encoded_len(size_t n)
{
    return (n + 2) / 3 * 4;
}
/* Bytes a decoder may write for n characters. */
static inline size_t base64_decoded_max(size_t n)
{
    return n / 4 * 3 + n % 4;
}

/* base64_encoded_len(n) characters to out, no NUL. */
void base64_encode(const void *p, size_t n, char *out);

/* Both decode into out, which has room for base64_decoded_max(text.n), and return 0 or -EINVAL; out
 * may then hold a part. No whitespace is taken, and unused bits of the last character must be 0, so
 * that two different texts never decode to the same bytes. */
/* Standard alphabet, padding required. */
int base64_decode(struct slice text, uint8_t *out, size_t *ret_n);
/* What protobuf's JSON mapping takes: standard or URL-safe alphabet (each character on its own),
 * padded or not; unused bits are ignored there, and so they are here. */
int base64_decode_any(struct slice text, uint8_t *out, size_t *ret_n);

#endif
