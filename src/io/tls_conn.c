#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#include "io/tls_internal.h"
#include "wire/limits.h"

#define READ_STEP   (16u * 1024)                /* a TLS record's largest content */
#define OUTPUT_MAX  (LIMIT_RESPONSE_BYTES * 2u) /* the largest answer, encrypted, with room */
#define WAITING_MAX (16u * 1024 * 1024)         /* given to write before the handshake was done */

struct tls_conn {
    SSL *ssl;
    struct slice in; /* what feed was given and OpenSSL has not yet taken */
    struct buf out;
    struct buf waiting;
    bool ready;
    bool closed; /* close-notify queued */
    char alpn[16];
    char *peer_cn;
};

/*
 * A BIO that reads from the slice given to feed and writes into the output: no copies between.
 */

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *b, char *to, int n)
{
    struct tls_conn *t = BIO_get_data(b);
    size_t take = MIN((size_t)n, t->in.n);

    BIO_clear_retry_flags(b);
    if (take == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(to, t->in.p, take);
    t->in = slice_skip(t->in, take);
    return (int)take;
}

static int bio_write(BIO *b, const char *from, int n)
{
    struct tls_conn *t = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    return buf_append(&t->out, from, (size_t)n) < 0 ? -1 : n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    return cmd == BIO_CTRL_FLUSH;
}

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory of a tls_conn");
    if (!bio_method)
        abort();
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/*
 * Life cycle.
 */

/* The name or address the certificate must be for; names go out as SNI, addresses may not. */
static void expect_server(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return;
    ERR_clear_error();
    X509_VERIFY_PARAM_set1_host(param, name, 0);
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)name);
}

struct tls_conn *tls_conn_new(struct tls_context *c, const char *server_name)
{
    struct tls_conn *t = xcalloc(1, sizeof *t);

    pthread_once(&bio_once, make_bio_method);
    buf_init(&t->out, OUTPUT_MAX);
    buf_init(&t->waiting, WAITING_MAX);
    t->ssl = SSL_new(c->ctx);
    BIO *bio = BIO_new(bio_method);
    if (!t->ssl || !bio)
        abort(); /* out of memory */
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    if (c->server) {
        SSL_set_accept_state(t->ssl);
    } else {
        if (server_name)
            expect_server(t->ssl, server_name);
        SSL_set_connect_state(t->ssl);
        SSL_do_handshake(t->ssl); /* puts the ClientHello into the output */
        ERR_clear_error();
    }
    return t;
}

void tls_conn_free(struct tls_conn *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    buf_deinit(&t->out);
    buf_deinit(&t->waiting);
    free(t->peer_cn);
    free(t);
}

/*
 * Bytes.
 */

/* What went wrong, in words, and the code for it. */
static int fail(struct tls_conn *t, struct err *e)
{
    const char *step = t->ready ? "TLS" : "TLS handshake";
    long verify = SSL_get_verify_result(t->ssl);

    if (!t->ready && verify == X509_V_ERR_APPLICATION_VERIFICATION)
        err_set(e, ERR_UNAVAILABLE, "%s: client certificate is not for an allowed name", step);
    else if (!t->ready && verify != X509_V_OK)
        err_set(e, ERR_UNAVAILABLE, "%s: certificate verify failed: %s", step,
                X509_verify_cert_error_string(verify));
    else
        tls_error(e, ERR_UNAVAILABLE, "%s", step);
    ERR_clear_error();
    return ERR_UNAVAILABLE;
}

static void note_peer(struct tls_conn *t)
{
    const unsigned char *alpn;
    unsigned n;
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    char cn[256] = "";

    t->ready = true;
    SSL_get0_alpn_selected(t->ssl, &alpn, &n);
    if (n < sizeof t->alpn && n > 0)
        memcpy(t->alpn, alpn, n);
    if (cert && SSL_get_verify_result(t->ssl) == X509_V_OK)
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, sizeof cn);
    t->peer_cn = xstrdup(cn);
}

static int encrypt(struct tls_conn *t, struct slice plain)
{
    while (plain.n > 0) {
        size_t n;
        if (SSL_write_ex(t->ssl, plain.p, plain.n, &n) != 1) {
            ERR_clear_error();
            return -ENOBUFS; /* the output is full, nothing else can fail here */
        }
        plain = slice_skip(plain, n);
    }
    return 0;
}

/* 0: done or waiting for the peer. */
static int handshake(struct tls_conn *t, struct err *e)
{
    int r = SSL_do_handshake(t->ssl);

    if (r != 1)
        return SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_READ ? 0 : fail(t, e);
    note_peer(t);
    r = encrypt(t, buf_slice(&t->waiting));
    buf_deinit(&t->waiting);
    return r;
}

int tls_conn_feed(struct tls_conn *t, struct slice in, struct buf *plain, struct err *e)
{
    ERR_clear_error();
    t->in = in;
    if (!t->ready) {
        int r = handshake(t, e);
        if (r < 0 || !t->ready)
            return r;
    }
    for (;;) {
        size_t n;
        if (buf_reserve(plain, READ_STEP) < 0)
            return err_set(e, ERR_LIMIT, "TLS: too much at once");
        int r = SSL_read_ex(t->ssl, plain->p + plain->n, READ_STEP, &n);
        if (r == 1) {
            plain->n += n;
            continue;
        }
        switch (SSL_get_error(t->ssl, r)) {
        case SSL_ERROR_WANT_READ:
            return 0;
        case SSL_ERROR_ZERO_RETURN:
            return 1;
        default:
            return fail(t, e);
        }
    }
}

int tls_conn_write(struct tls_conn *t, struct slice plain)
{
    if (t->closed)
        return -EPIPE;
    return t->ready ? encrypt(t, plain) : buf_append_slice(&t->waiting, plain);
}

struct buf *tls_conn_output(struct tls_conn *t)
{
    return &t->out;
}

bool tls_conn_ready(const struct tls_conn *t)
{
    return t->ready;
}

const char *tls_conn_alpn(const struct tls_conn *t)
{
    return t->alpn;
}

const char *tls_conn_peer_cn(const struct tls_conn *t)
{
    return t->peer_cn ? t->peer_cn : "";
}

void tls_conn_shutdown(struct tls_conn *t)
{
    if (!t->ready || t->closed)
        return;
    t->closed = true;
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}
