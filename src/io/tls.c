#include "io/tls_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "base/clock.h"

enum { FILE_CERT, FILE_KEY, FILE_CA, FILE_CRL };

int tls_error(struct err *e, int code, const char *fmt, ...)
{
    char what[256];
    unsigned long last = ERR_peek_error();
    const char *reason = last ? ERR_reason_error_string(last) : NULL;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    ERR_clear_error();
    if (!reason && last) /* a system error, e.g. a file that is not there */
        reason = strerror(ERR_GET_REASON(last));
    return err_set(e, code, "%s: %s", what, reason ? reason : "unknown error");
}

static struct file_stamp stamp_of(const char *path)
{
    struct stat st;

    if (!path || stat(path, &st) < 0)
        return (struct file_stamp){.size = -1};
    return (struct file_stamp){
        .mtime_ns = st.st_mtim.tv_sec * (int64_t)NS_PER_S + st.st_mtim.tv_nsec,
        .size = st.st_size,
        .inode = st.st_ino,
    };
}

bool tls_context_stale(const struct tls_context *c)
{
    for (int i = 0; i < TLS_FILES; i++) {
        struct file_stamp now = stamp_of(c->paths[i]);
        if (now.mtime_ns != c->stamps[i].mtime_ns || now.size != c->stamps[i].size ||
            now.inode != c->stamps[i].inode)
            return true;
    }
    return false;
}

/*
 * Who may connect.
 */

static bool cn_is(X509 *cert, const char *want)
{
    char cn[256];
    int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, sizeof cn);

    /* The length too: a NUL inside the name must not cut it short. */
    return n >= 0 && (size_t)n == strlen(want) && memcmp(cn, want, (size_t)n) == 0;
}

/* Called for each certificate of the peer's chain, the peer's own last, at depth 0. */
static int verify_client(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    X509 *cert = X509_STORE_CTX_get_current_cert(store);

    if (!ok || X509_STORE_CTX_get_error_depth(store) > 0)
        return ok;
    if ((!c->allowed_cn || cn_is(cert, c->allowed_cn)) &&
        (!c->allowed_hostname || X509_check_host(cert, c->allowed_hostname, 0, 0, NULL) == 1))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

/* ALPN: HTTP/2 if the client knows it (RFC 7301). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n,
                           const unsigned char *in, unsigned in_n, void *ctx)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";

    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, n, ours, sizeof ours - 1, in,
                              in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

/*
 * Making an SSL_CTX of files.
 */

/* Keys with a passphrase are refused: nobody is there to type it. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    return -1;
}

static int load_own(SSL_CTX *ctx, const struct tls_context *c, struct err *e)
{
    const char *cert = c->paths[FILE_CERT], *key = c->paths[FILE_KEY];

    if (!cert && !key && !c->server)
        return 0;
    if (!cert || !key)
        return err_set(e, ERR_CONFIG, "certificate and key files are needed together");
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return tls_error(e, ERR_CONFIG, "read certificate '%s'", cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return tls_error(e, ERR_CONFIG, "read private key '%s'", key);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return tls_error(e, ERR_CONFIG, "private key '%s' for certificate '%s'", key, cert);
    return 0;
}

static int load_trust(SSL_CTX *ctx, const struct tls_context *c, struct err *e)
{
    const char *ca = c->paths[FILE_CA], *crl = c->paths[FILE_CRL];
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);

    if (!ca) {
        SSL_CTX_set_default_verify_paths(ctx);
    } else {
        if (SSL_CTX_load_verify_file(ctx, ca) != 1)
            return tls_error(e, ERR_CONFIG, "read trusted CA '%s'", ca);
        if (c->server)
            SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(ca));
    }
    if (!crl)
        return 0;
    if (X509_load_crl_file(X509_STORE_add_lookup(store, X509_LOOKUP_file()), crl,
                           X509_FILETYPE_PEM) < 1)
        return tls_error(e, ERR_CONFIG, "read revocation list '%s'", crl);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return 0;
}

static void set_verify(SSL_CTX *ctx, const struct tls_context *c)
{
    /* As upstream: a trusted CA alone already asks clients for certificates. */
    bool ask = c->client_cert_required || c->paths[FILE_CA];

    if (!c->server)
        SSL_CTX_set_verify(ctx, c->skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    else if (ask)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_client);
}

static SSL_CTX *make_ctx(const struct tls_context *c)
{
    static const unsigned char session_context[] = "stead";
    SSL_CTX *ctx = SSL_CTX_new(c->server ? TLS_server_method() : TLS_client_method());

    if (!ctx)
        abort(); /* out of memory */
    SSL_CTX_set_app_data(ctx, (void *)(uintptr_t)c);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* An idle connection gives back its 34 KiB of buffers. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (c->server) {
        SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    } else {
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    }
    return ctx;
}

int tls_context_reload(struct tls_context *c, struct err *e)
{
    struct file_stamp stamps[TLS_FILES];

    ERR_clear_error();
    SSL_CTX *ctx = make_ctx(c);
    /* Before reading: a file that changes meanwhile counts as stale. */
    for (int i = 0; i < TLS_FILES; i++)
        stamps[i] = stamp_of(c->paths[i]);
    int r = load_own(ctx, c, e);
    if (r == 0)
        r = load_trust(ctx, c, e);
    if (r < 0) {
        SSL_CTX_free(ctx);
        return r;
    }
    set_verify(ctx, c);
    SSL_CTX_free(c->ctx);
    c->ctx = ctx;
    memcpy(c->stamps, stamps, sizeof stamps);
    return 0;
}

/*
 * Life cycle.
 */

static char *dup_or_null(const char *s)
{
    return s && s[0] ? xstrdup(s) : NULL;
}

static int context_new(const struct tls_files *f, bool server, struct tls_context **ret,
                       struct err *e)
{
    struct tls_context *c = xcalloc(1, sizeof *c);

    c->server = server;
    c->paths[FILE_CERT] = dup_or_null(f->cert);
    c->paths[FILE_KEY] = dup_or_null(f->key);
    c->paths[FILE_CA] = dup_or_null(f->trusted_ca);
    c->paths[FILE_CRL] = dup_or_null(f->crl);
    c->client_cert_required = f->client_cert_required;
    c->skip_verify = f->skip_verify;
    c->allowed_cn = dup_or_null(f->allowed_cn);
    c->allowed_hostname = dup_or_null(f->allowed_hostname);
    int r = tls_context_reload(c, e);
    if (r < 0) {
        tls_context_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

int tls_server_context(const struct tls_files *f, struct tls_context **ret, struct err *e)
{
    return context_new(f, true, ret, e);
}

int tls_client_context(const struct tls_files *f, struct tls_context **ret, struct err *e)
{
    return context_new(f, false, ret, e);
}

int tls_server_context_auto(const char *dir, unsigned valid_years, struct tls_context **ret,
                            struct err *e)
{
    cleanup_free char *cert = xasprintf("%s/cert.pem", dir);
    cleanup_free char *key = xasprintf("%s/key.pem", dir);
    int r = tls_auto_make(dir, valid_years, cert, key, e);

    if (r < 0)
        return err_wrap(e, r, "make a certificate in '%s'", dir);
    return tls_server_context(&(struct tls_files){.cert = cert, .key = key}, ret, e);
}

void tls_context_free(struct tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    for (int i = 0; i < TLS_FILES; i++)
        free(c->paths[i]);
    free(c->allowed_cn);
    free(c->allowed_hostname);
    free(c);
}
