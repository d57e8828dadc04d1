#include "etcd/member_id.h"

#include <openssl/sha.h>

#include "base/buf.h"

#define URLS_MAX 64 /* peer URLs of one member; more are not looked at */
#define TEXT_MAX (64u * 1024)

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint64_t first_8_bytes_of_sha1(struct slice s)
{
    uint8_t sum[SHA_DIGEST_LENGTH];

    SHA1(s.p, s.n, sum);
    return get_be64(sum);
}

uint64_t member_id_make(char *const *peer_urls, const char *cluster_token)
{
    cleanup_buf struct buf b;
    char *urls[URLS_MAX];
    size_t n = 0;

    buf_init(&b, TEXT_MAX);
    for (; peer_urls[n] && n < URLS_MAX; n++)
        urls[n] = peer_urls[n];
    qsort(urls, n, sizeof *urls, by_text);
    for (size_t i = 0; i < n; i++)
        buf_append_str(&b, urls[i]);
    buf_append_str(&b, cluster_token);
    return first_8_bytes_of_sha1(buf_slice(&b));
}

uint64_t cluster_id_make(uint64_t member_id)
{
    uint8_t be[8];

    put_be64(be, member_id);
    return first_8_bytes_of_sha1(slice_of(be, sizeof be));
}
