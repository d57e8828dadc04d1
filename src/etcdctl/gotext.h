/*
 * gotext: small texts as the Go programs write them: durations, byte counts, number errors.
 */
#ifndef ETCDCTL_GOTEXT_H
#define ETCDCTL_GOTEXT_H

#include "base/err.h"

#define GOTEXT_MAX 40

/* time.Duration's String: "0s", "993.746µs", "5.001270252s", "1h2m3.5s". Returns out. */
char *go_duration(uint64_t ns, char out[GOTEXT_MAX]);
/* go-humanize's Bytes: "20 kB", "1.2 MB". Returns out. */
char *go_bytes(uint64_t n, char out[GOTEXT_MAX]);

/* strconv.ParseInt / ParseUint of 64 bits in base 10 or 16 (no prefix). 0 or ERR_USAGE with Go's
 * text in e. */
int go_parse_int(const char *s, unsigned base, int64_t *ret, struct err *e);
int go_parse_uint(const char *s, unsigned base, uint64_t *ret, struct err *e);

#endif
