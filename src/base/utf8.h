/*
 * utf8: which bytes are text. UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates,
 * nothing past U+10FFFF.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/* Length (1 to 4) of the character s begins with; 0 when s is empty or begins with no valid one.
 * Callers that go on after an invalid byte skip one byte, as Go does. */
size_t utf8_char_len(struct slice s);
bool utf8_valid(struct slice s);

#endif
