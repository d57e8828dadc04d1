#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "io/tls.h"

/*
 * Certificates made for the test.
 */

static char dir[] = "/tmp/test_tls.XXXXXX";

static const char *path(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *p = paths[next++ % ARRAY_LEN(paths)];

    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static void extend(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(ext);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}

static void save_key(EVP_PKEY *key, const char *name)
{
    FILE *f = fopen(path(name), "w");

    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

static void save_cert(X509 *cert, const char *name)
{
    FILE *f = fopen(path(name), "w");

    PEM_write_X509(f, cert);
    fclose(f);
}

/* A certificate NAME.crt with NAME.key, signed by issuer, NULL: by itself, a CA. */
static struct identity make(const char *name, const char *alt, int serial,
                            const struct identity *issuer)
{
    struct identity id = {EVP_EC_gen("P-256"), X509_new()};
    X509_NAME *n = X509_get_subject_name(id.cert);
    char file[64];

    X509_set_version(id.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(id.cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(id.cert), 3600);
    X509_set_pubkey(id.cert, id.key);
    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const void *)name, -1, -1, 0);
    X509_set_issuer_name(id.cert, issuer ? X509_get_subject_name(issuer->cert) : n);
    extend(id.cert, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
    if (alt)
        extend(id.cert, NID_subject_alt_name, alt);
    X509_sign(id.cert, issuer ? issuer->key : id.key, EVP_sha256());
    snprintf(file, sizeof file, "%s.crt", name);
    save_cert(id.cert, file);
    snprintf(file, sizeof file, "%s.key", name);
    save_key(id.key, file);
    return id;
}

static void free_identity(struct identity id)
{
    EVP_PKEY_free(id.key);
    X509_free(id.cert);
}

static void make_crl(const struct identity *ca, const struct identity *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *t = ASN1_TIME_new();

    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert));
    X509_gmtime_adj(t, -60);
    X509_CRL_set1_lastUpdate(crl, t);
    X509_REVOKED_set_revocationDate(r, t);
    X509_gmtime_adj(t, 3600);
    X509_CRL_set1_nextUpdate(crl, t);
    X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked->cert));
    X509_CRL_add0_revoked(crl, r);
    X509_CRL_sign(crl, ca->key, EVP_sha256());
    FILE *f = fopen(path("crl.pem"), "w");
    PEM_write_X509_CRL(f, crl);
    fclose(f);
    ASN1_TIME_free(t);
    X509_CRL_free(crl);
}

static int setup(void **state)
{
    if (!mkdtemp(dir))
        return -1;
    struct identity ca = make("ca", NULL, 1, NULL);
    struct identity server = make("server", "DNS:store.example,IP:127.0.0.1", 2, &ca);
    struct identity second = make("second", "DNS:store.example", 3, &ca);
    struct identity alice = make("alice", "DNS:alice.example", 4, &ca);
    struct identity bob = make("bob", NULL, 5, &ca);
    struct identity stranger = make("stranger", NULL, 6, NULL);
    make_crl(&ca, &bob);
    free_identity(ca);
    free_identity(server);
    free_identity(second);
    free_identity(alice);
    free_identity(bob);
    free_identity(stranger);
    return 0;
}

static int teardown(void **state)
{
    cleanup_free char *command = xasprintf("rm -r %s", dir);

    return system(command);
}

/*
 * A connection in memory.
 */

struct end {
    struct tls_context *context;
    struct tls_conn *conn;
    struct buf plain;
    int r;
    struct err e;
};
struct wire {
    struct end server, client;
};

static void end_deinit(struct end *x)
{
    tls_conn_free(x->conn);
    tls_context_free(x->context);
    buf_deinit(&x->plain);
}

static bool carry(struct end *from, struct end *to, size_t piece)
{
    struct buf *out = tls_conn_output(from->conn);

    if (out->n == 0)
        return false;
    for (size_t at = 0; at < out->n && to->r == 0; at += piece)
        to->r = tls_conn_feed(to->conn, slice_of(out->p + at, MIN(piece, out->n - at)), &to->plain,
                              &to->e);
    buf_clear(out);
    return true;
}

static void run(struct wire *w, size_t piece)
{
    for (bool moved = true; moved;) {
        moved = carry(&w->client, &w->server, piece);
        moved |= carry(&w->server, &w->client, piece);
    }
}

static void connect_ends(struct wire *w, const struct tls_files *server,
                         const struct tls_files *client, const char *name)
{
    struct err e = {0};

    *w = (struct wire){0};
    if (tls_server_context(server, &w->server.context, &e) < 0 ||
        tls_client_context(client, &w->client.context, &e) < 0)
        fail_msg("%s", e.msg);
    w->server.conn = tls_conn_new(w->server.context, NULL);
    w->client.conn = tls_conn_new(w->client.context, name);
    buf_init(&w->server.plain, 10u << 20);
    buf_init(&w->client.plain, 10u << 20);
    run(w, 100000);
}

static void wire_deinit(struct wire *w)
{
    end_deinit(&w->server);
    end_deinit(&w->client);
}

static struct tls_files server_files(void)
{
    return (struct tls_files){.cert = path("server.crt"), .key = path("server.key")};
}

static struct tls_files client_files(void)
{
    return (struct tls_files){.trusted_ca = path("ca.crt")};
}

/*
 * Tests.
 */

static void bytes_pass_both_ways(void **state)
{
    struct tls_files sf = server_files(), cf = client_files();
    struct wire w;

    connect_ends(&w, &sf, &cf, "store.example");
    assert_true(tls_conn_ready(w.server.conn) && tls_conn_ready(w.client.conn));
    assert_string_equal(tls_conn_alpn(w.server.conn), "h2");
    assert_string_equal(tls_conn_alpn(w.client.conn), "h2");
    assert_string_equal(tls_conn_peer_cn(w.client.conn), "server");
    assert_string_equal(tls_conn_peer_cn(w.server.conn), "");
    assert_int_equal(tls_conn_write(w.client.conn, SLICE_LIT("hello")), 0);
    assert_int_equal(tls_conn_write(w.server.conn, SLICE_LIT("world")), 0);
    run(&w, 1);
    assert_true(slice_eq_str(buf_slice(&w.server.plain), "hello"));
    assert_true(slice_eq_str(buf_slice(&w.client.plain), "world"));
    wire_deinit(&w);
}

static void large_writes_pass_in_any_pieces(void **state)
{
    struct tls_files sf = server_files(), cf = client_files();
    const size_t size = 3u << 20;
    cleanup_free uint8_t *big = xcalloc(1, size);
    struct wire w;

    connect_ends(&w, &sf, &cf, "store.example");
    assert_int_equal(tls_conn_write(w.server.conn, slice_of(big, size)), 0);
    run(&w, 7777);
    assert_int_equal(w.client.plain.n, size);
    wire_deinit(&w);
}

static void writes_before_the_handshake_wait(void **state)
{
    struct tls_files sf = server_files(), cf = client_files();
    struct wire w = {0};
    struct err e;

    tls_server_context(&sf, &w.server.context, &e);
    tls_client_context(&cf, &w.client.context, &e);
    w.server.conn = tls_conn_new(w.server.context, NULL);
    w.client.conn = tls_conn_new(w.client.context, "127.0.0.1");
    buf_init(&w.server.plain, 1u << 20);
    buf_init(&w.client.plain, 1u << 20);
    assert_int_equal(tls_conn_write(w.client.conn, SLICE_LIT("early")), 0);
    run(&w, 1000000);
    assert_true(slice_eq_str(buf_slice(&w.server.plain), "early"));
    wire_deinit(&w);
}

static void close_notify_ends_in_order(void **state)
{
    struct tls_files sf = server_files(), cf = client_files();
    struct wire w;

    connect_ends(&w, &sf, &cf, "store.example");
    tls_conn_write(w.server.conn, SLICE_LIT("last words"));
    tls_conn_shutdown(w.server.conn);
    run(&w, 1000000);
    assert_int_equal(w.client.r, 1);
    assert_true(slice_eq_str(buf_slice(&w.client.plain), "last words"));
    assert_int_equal(tls_conn_write(w.server.conn, SLICE_LIT("x")), -EPIPE);
    wire_deinit(&w);
}

static void client_checks_the_servers_name_and_signer(void **state)
{
    static const struct {
        const char *name;
        bool own_roots, skip;
        const char *error; /* NULL: works */
    } cases[] = {
        {"store.example", false, false, NULL},
        {"127.0.0.1", false, false, NULL},
        {"other.example", false, false, "hostname mismatch"},
        {"127.0.0.2", false, false, "IP address mismatch"},
        {"store.example", true, false, "unable to get local issuer"},
        {"other.example", true, true, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_files sf = server_files(), cf = client_files();
        struct wire w;
        if (cases[i].own_roots)
            cf.trusted_ca = NULL;
        cf.skip_verify = cases[i].skip;
        connect_ends(&w, &sf, &cf, cases[i].name);
        assert_int_equal(tls_conn_ready(w.client.conn), !cases[i].error);
        if (cases[i].error) {
            assert_true(w.client.r < 0);
            assert_non_null(strstr(w.client.e.msg, cases[i].error));
            assert_true(w.server.r < 0); /* told by the alert */
        }
        wire_deinit(&w);
    }
}

static void server_checks_client_certificates(void **state)
{
    static const struct {
        const char *who; /* NULL: no certificate */
        const char *cn, *hostname;
        bool crl;
        const char *error; /* the server's; NULL: works */
    } cases[] = {
        {"alice", NULL, NULL, false, NULL},
        {NULL, NULL, NULL, false, "peer did not return a certificate"},
        {"stranger", NULL, NULL, false, "certificate verify failed"},
        {"bob", NULL, NULL, false, NULL},
        {"bob", NULL, NULL, true, "certificate revoked"},
        {"alice", NULL, NULL, true, NULL},
        {"alice", "alice", NULL, false, NULL},
        {"bob", "alice", NULL, false, "not for an allowed name"},
        {"alice", NULL, "alice.example", false, NULL},
        {"bob", NULL, "alice.example", false, "not for an allowed name"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_files sf = server_files(), cf = client_files();
        char crt[32], key[32];
        struct wire w;
        sf.trusted_ca = path("ca.crt");
        sf.allowed_cn = cases[i].cn;
        sf.allowed_hostname = cases[i].hostname;
        if (cases[i].crl)
            sf.crl = path("crl.pem");
        if (cases[i].who) {
            snprintf(crt, sizeof crt, "%s.crt", cases[i].who);
            snprintf(key, sizeof key, "%s.key", cases[i].who);
            cf.cert = path(crt);
            cf.key = path(key);
        }
        connect_ends(&w, &sf, &cf, "store.example");
        assert_int_equal(tls_conn_ready(w.server.conn), !cases[i].error);
        if (cases[i].error)
            assert_non_null(strstr(w.server.e.msg, cases[i].error));
        else
            assert_string_equal(tls_conn_peer_cn(w.server.conn), cases[i].who);
        wire_deinit(&w);
    }
}

static void configuration_errors_name_the_file(void **state)
{
    static const struct {
        const char *cert, *key, *ca, *error;
    } cases[] = {
        {"none.crt", "server.key", NULL, "none.crt': No such file"},
        {"server.crt", "none.key", NULL, "none.key': No such file"},
        {"server.crt", "alice.key", NULL, "alice.key'"},
        {"server.key", "server.key", NULL, "no start line"},
        {"server.crt", "server.key", "none.ca", "none.ca'"},
        {"server.crt", NULL, NULL, "together"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_files f = {.cert = path(cases[i].cert),
                              .key = cases[i].key ? path(cases[i].key) : NULL,
                              .trusted_ca = cases[i].ca ? path(cases[i].ca) : NULL};
        struct tls_context *c;
        struct err e = {0};
        assert_int_equal(tls_server_context(&f, &c, &e), ERR_CONFIG);
        if (!strstr(e.msg, cases[i].error))
            fail_msg("'%s' does not say '%s'", e.msg, cases[i].error);
    }
}

static void copy_file(const char *from, const char *to)
{
    cleanup_free char *command = xasprintf("cp %s %s", path(from), path(to));

    assert_int_equal(system(command), 0);
}

static void reload_takes_new_files_and_keeps_old_on_error(void **state)
{
    struct tls_files sf = {.cert = path("live.crt"), .key = path("live.key")}, cf = client_files();
    struct wire w;
    struct err e = {0};

    copy_file("server.crt", "live.crt");
    copy_file("server.key", "live.key");
    connect_ends(&w, &sf, &cf, "store.example");
    assert_false(tls_context_stale(w.server.context));
    copy_file("second.crt", "live.crt");
    assert_true(tls_context_stale(w.server.context));
    assert_int_equal(tls_context_reload(w.server.context, &e), ERR_CONFIG); /* key not yet */
    assert_true(tls_context_stale(w.server.context));
    copy_file("second.key", "live.key");
    assert_int_equal(tls_context_reload(w.server.context, &e), 0);
    assert_false(tls_context_stale(w.server.context));
    tls_conn_write(w.client.conn, SLICE_LIT("still here")); /* the old connection lives on */
    run(&w, 1000000);
    assert_int_equal(w.server.plain.n, 10);
    struct tls_conn *old_server = w.server.conn, *old_client = w.client.conn;
    w.server.conn = tls_conn_new(w.server.context, NULL);
    w.client.conn = tls_conn_new(w.client.context, "store.example");
    run(&w, 1000000);
    assert_string_equal(tls_conn_peer_cn(w.client.conn), "second");
    tls_conn_free(old_server);
    tls_conn_free(old_client);
    wire_deinit(&w);
}

static void auto_tls_makes_a_certificate_once(void **state)
{
    struct tls_context *c;
    struct err e = {0};
    struct stat first, second;
    char auto_dir[64], key[80], cert[80];

    snprintf(auto_dir, sizeof auto_dir, "%s/auto", dir);
    snprintf(key, sizeof key, "%s/key.pem", auto_dir);
    snprintf(cert, sizeof cert, "%s/cert.pem", auto_dir);
    assert_int_equal(tls_server_context_auto(auto_dir, 0, &c, &e), ERR_CONFIG);
    assert_int_equal(tls_server_context_auto(auto_dir, 1, &c, &e), 0);
    assert_int_equal(stat(key, &first), 0);
    assert_int_equal(first.st_mode & 0777, 0600);
    tls_context_free(c);
    assert_int_equal(tls_server_context_auto(auto_dir, 1, &c, &e), 0);
    assert_int_equal(stat(key, &second), 0);
    assert_int_equal(first.st_ino, second.st_ino);
    tls_context_free(c);

    struct tls_files sf = {.cert = cert, .key = key}, cf = {.trusted_ca = cert};
    struct wire w;
    connect_ends(&w, &sf, &cf, "localhost");
    assert_true(tls_conn_ready(w.client.conn));
    wire_deinit(&w);
}

static void garbage_is_an_error_with_words(void **state)
{
    struct tls_files sf = server_files(), cf = client_files();
    struct wire w;

    connect_ends(&w, &sf, &cf, "store.example");
    tls_conn_free(w.server.conn);
    w.server.conn = tls_conn_new(w.server.context, NULL);
    assert_true(tls_conn_feed(w.server.conn, SLICE_LIT("GET / HTTP/1.1\r\n\r\n"), &w.server.plain,
                              &w.server.e) < 0);
    assert_non_null(strstr(w.server.e.msg, "http request"));
    wire_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways),
        cmocka_unit_test(large_writes_pass_in_any_pieces),
        cmocka_unit_test(writes_before_the_handshake_wait),
        cmocka_unit_test(close_notify_ends_in_order),
        cmocka_unit_test(client_checks_the_servers_name_and_signer),
        cmocka_unit_test(server_checks_client_certificates),
        cmocka_unit_test(configuration_errors_name_the_file),
        cmocka_unit_test(reload_takes_new_files_and_keeps_old_on_error),
        cmocka_unit_test(auto_tls_makes_a_certificate_once),
        cmocka_unit_test(garbage_is_an_error_with_words),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
