/*
 * tls_internal: what tls.c (contexts), tls_conn.c and tls_auto.c share.
 */
#ifndef IO_TLS_INTERNAL_H
#define IO_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "io/tls.h"

#define TLS_FILES 4 /* cert, key, trusted_ca, crl */

/* How a file looked when it was read. */
struct file_stamp {
    int64_t mtime_ns;
    int64_t size;
    uint64_t inode;
};

struct tls_context {
    SSL_CTX *ctx; /* replaced by reload; connections hold their own reference */
    bool server;
    char *paths[TLS_FILES]; /* NULL: not given */
    struct file_stamp stamps[TLS_FILES];
    bool client_cert_required, skip_verify;
    char *allowed_cn, *allowed_hostname;
};

/* Sets e to "what: REASON" with OpenSSL's first error as the reason. Clears OpenSSL's queue. */
int tls_error(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Makes dir/cert.pem and dir/key.pem unless they are there and valid for a day more. */
int tls_auto_make(const char *dir, unsigned valid_years, const char *cert, const char *key,
                  struct err *e);

#endif
