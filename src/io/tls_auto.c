/*
 * A certificate of our own for --auto-tls: self-signed, for every name and address this machine
 * answers to.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "io/tls_internal.h"

#define DAY_S           86400
#define ALT_NAMES_MAX   8192 /* bytes of the list of names and addresses */
#define VALID_YEARS_MAX 100

static void cleanup_x509_p(X509 **x)
{
    X509_free(*x);
}
static void cleanup_pkey_p(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}
static void cleanup_bio_p(BIO **b)
{
    BIO_free(*b);
}
#define cleanup_x509 __attribute__((cleanup(cleanup_x509_p)))
#define cleanup_pkey __attribute__((cleanup(cleanup_pkey_p)))
#define cleanup_bio  __attribute__((cleanup(cleanup_bio_p)))

static bool still_good(const char *cert_path, const char *key_path)
{
    cleanup_bio BIO *b = BIO_new_file(cert_path, "r");
    cleanup_x509 X509 *cert = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
    time_t tomorrow = time(NULL) + DAY_S;

    return cert && access(key_path, R_OK) == 0 &&
           X509_cmp_time(X509_get0_notAfter(cert), &tomorrow) > 0;
}

/* "DNS:localhost,IP:127.0.0.1,..." */
static void alt_names(struct buf *out)
{
    char host[256], text[INET6_ADDRSTRLEN];
    struct ifaddrs *list = NULL;

    buf_append_str(out, "DNS:localhost,IP:127.0.0.1,IP:::1");
    if (gethostname(host, sizeof host) == 0 && host[0] && !strchr(host, ','))
        buf_printf(out, ",DNS:%.255s", host);
    if (getifaddrs(&list) < 0)
        return;
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
        const void *addr = family == AF_INET
                               ? (void *)&((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr
                               : (void *)&((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr;
        if ((family == AF_INET || family == AF_INET6) && inet_ntop(family, addr, text, sizeof text))
            (void)buf_printf(out, ",IP:%s", text);
    }
    freeifaddrs(list);
}

static int add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    int ok = ext && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok ? 0 : ERR_INTERNAL;
}

static int fill_certificate(X509 *cert, EVP_PKEY *key, unsigned valid_years)
{
    cleanup_buf struct buf names;
    uint64_t serial = 0;
    X509_NAME *name = X509_get_subject_name(cert);

    buf_init(&names, ALT_NAMES_MAX);
    alt_names(&names);
    if (RAND_bytes((unsigned char *)&serial, sizeof serial) != 1 || !buf_cstr(&names))
        return ERR_INTERNAL;
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1 | 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_time_adj_ex(X509_getm_notAfter(cert), (int)(365 * valid_years), 0, NULL);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"etcd", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    if (add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
        add_extension(cert, NID_key_usage, "critical,digitalSignature") < 0 ||
        add_extension(cert, NID_ext_key_usage, "serverAuth,clientAuth") < 0 ||
        add_extension(cert, NID_subject_alt_name, buf_cstr(&names)) < 0)
        return ERR_INTERNAL;
    return X509_sign(cert, key, EVP_sha256()) > 0 ? 0 : ERR_INTERNAL;
}

/* Writes what the BIO holds, so that the file is there whole or not at all. */
static int write_file(const char *path, BIO *content, mode_t mode, struct err *e)
{
    cleanup_free char *tmp = xasprintf("%s.tmp", path);
    cleanup_close int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    char *p;
    long n = BIO_get_mem_data(content, &p);

    if (fd < 0)
        return err_set(e, -errno, "create '%s'", tmp);
    if (fchmod(fd, mode) < 0 || write(fd, p, (size_t)n) != n || fsync(fd) < 0)
        return err_set(e, -errno, "write '%s'", tmp);
    if (rename(tmp, path) < 0)
        return err_set(e, -errno, "rename '%s'", tmp);
    return 0;
}

static int write_pair(X509 *cert, EVP_PKEY *key, const char *cert_path, const char *key_path,
                      struct err *e)
{
    cleanup_bio BIO *key_pem = BIO_new(BIO_s_mem());
    cleanup_bio BIO *cert_pem = BIO_new(BIO_s_mem());

    if (PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(cert_pem, cert) != 1)
        return tls_error(e, ERR_INTERNAL, "encode");
    /* The key first: a certificate that is there has its key. */
    int r = write_file(key_path, key_pem, 0600, e);
    return r < 0 ? r : write_file(cert_path, cert_pem, 0644, e);
}

int tls_auto_make(const char *dir, unsigned valid_years, const char *cert_path,
                  const char *key_path, struct err *e)
{
    if (still_good(cert_path, key_path))
        return 0;
    if (valid_years == 0 || valid_years > VALID_YEARS_MAX)
        return err_set(e, ERR_CONFIG, "validity of %u years is not between 1 and %u", valid_years,
                       VALID_YEARS_MAX);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(e, -errno, "create directory");
    cleanup_pkey EVP_PKEY *key = EVP_EC_gen("P-256");
    cleanup_x509 X509 *cert = X509_new();
    if (!key || !cert || fill_certificate(cert, key, valid_years) < 0)
        return tls_error(e, ERR_INTERNAL, "generate");
    return write_pair(cert, key, cert_path, key_path, e);
}
