/*
 * tls: TLS 1.2+ over memory (OpenSSL BIOs), for the loop and for blocking clients alike.
 *
 * A context holds certificates and can be reloaded in place: connections made later use the new
 * ones. It must outlive its connections. A tls_conn turns received bytes into plain ones and plain
 * ones into bytes to send; it has no socket.
 */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "base/buf.h"
#include "base/err.h"

struct tls_context;
struct tls_conn;

struct tls_files {
    const char *cert;             /* PEM chain; server: required */
    const char *key;              /* PEM */
    const char *trusted_ca;       /* PEM; server: clients need a certificate it has signed */
    const char *crl;              /* PEM, optional */
    bool client_cert_required;    /* server: --client-cert-auth */
    bool skip_verify;             /* client: --insecure-skip-tls-verify */
    const char *allowed_cn;       /* server: the client certificate's CN must be this; NULL: any */
    const char *allowed_hostname; /* server: one of its DNS names must be this; NULL: any */
};

/* Strings are copied. Errors name the file and what is wrong with it. */
int tls_server_context(const struct tls_files *f, struct tls_context **ret, struct err *e);
int tls_client_context(const struct tls_files *f, struct tls_context **ret, struct err *e);
/* Makes a certificate of our own for this machine's names and addresses and serves it: --auto-tls.
 * Kept as cert.pem and key.pem in dir (made if missing), made anew when expired. */
int tls_server_context_auto(const char *dir, unsigned valid_years, struct tls_context **ret,
                            struct err *e);
/* Reads the files again; on error the old certificates stay and the error says why. */
int tls_context_reload(struct tls_context *c, struct err *e);
/* True when a file's modification time or size changed since it was read. */
bool tls_context_stale(const struct tls_context *c);
void tls_context_free(struct tls_context *c);

/* server_name: for clients, checked against the certificate and sent as SNI; NULL for servers. */
struct tls_conn *tls_conn_new(struct tls_context *c, const char *server_name);
void tls_conn_free(struct tls_conn *t);
/* Takes received bytes; appends decrypted ones to plain. 0, 1 on close-notify, or negative: *e says
 * why, in words fit for a log. Bytes to send (handshake, alerts) gather in tls_conn_output. */
int tls_conn_feed(struct tls_conn *t, struct slice in, struct buf *plain, struct err *e);
/* Encrypts; the result gathers in tls_conn_output. Before the handshake is done it waits inside. */
int tls_conn_write(struct tls_conn *t, struct slice plain);
struct buf *tls_conn_output(struct tls_conn *t);
bool tls_conn_ready(const struct tls_conn *t); /* handshake done */
/* "h2", "http/1.1" or "". */
const char *tls_conn_alpn(const struct tls_conn *t);
/* CN of the peer's verified certificate, or "". Valid for the connection's life. */
const char *tls_conn_peer_cn(const struct tls_conn *t);
void tls_conn_shutdown(struct tls_conn *t); /* queues close-notify */

#endif
