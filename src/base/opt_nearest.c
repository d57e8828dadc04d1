#include "base/opt_internal.h"

#define WORD_MAX 64 /* names are shorter; a longer word is no typo of one */

/* Optimal string alignment: edits, where swapped neighbours count once and no place is edited
 * twice. Three rows of the usual table are kept. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t n = strlen(b);

    for (size_t j = 0; j <= n; j++)
        rows[0][j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t *now = rows[i % 3];
        const size_t *up = rows[(i + 2) % 3];
        const size_t *up2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t d = up[j - 1] + (a[i - 1] != b[j - 1]);
            d = MIN(d, up[j] + 1);
            d = MIN(d, now[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d = MIN(d, up2[j - 2] + 1);
            now[j] = d;
        }
    }
    return rows[strlen(a) % 3][n];
}

void opt_nearest_init(struct opt_nearest *n, const char *word)
{
    *n = (struct opt_nearest){.word = word, .distance = SIZE_MAX};
}

void opt_nearest_offer(struct opt_nearest *n, const char *name)
{
    if (strlen(n->word) > WORD_MAX || strlen(name) > WORD_MAX)
        return;
    size_t len = strlen(n->word);
    size_t d = edit_distance(n->word, name);
    /* The beginning of a name is no accident. */
    if (len >= 3 && strncmp(n->word, name, len) == 0)
        d = MIN(d, (size_t)1);
    if (d < n->distance) {
        n->distance = d;
        n->best = name;
    }
}

/* One typo in a short word, up to a third of a long one. */
const char *opt_nearest_get(const struct opt_nearest *n)
{
    if (!n->best)
        return NULL;
    size_t len = MIN(strlen(n->word), strlen(n->best));
    return n->distance <= MAX(len / 3, (size_t)1) && n->distance < len ? n->best : NULL;
}

const char *opt_did_you_mean(const char *word, const char *const *names)
{
    struct opt_nearest n;

    opt_nearest_init(&n, word);
    for (; *names; names++)
        opt_nearest_offer(&n, *names);
    return opt_nearest_get(&n);
}
