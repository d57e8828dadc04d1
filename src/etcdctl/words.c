#include "etcdctl/words.h"

#include "etcdctl/goquote.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Length of the double-quoted word in front, quotes included; 0: it does not end. */
static size_t double_quoted(struct slice s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return 0;
}

static size_t single_quoted(struct slice s)
{
    const uint8_t *end = s.n > 1 ? memchr(s.p + 1, '\'', s.n - 1) : NULL;

    return end ? (size_t)(end - s.p) + 1 : 0;
}

/* Length of the next word in s, 0 where none begins. */
static size_t word_len(struct slice s)
{
    size_t n = 0;

    if (s.p[0] == '"')
        return double_quoted(s);
    if (s.p[0] == '\'')
        return single_quoted(s);
    while (n < s.n && !is_blank(s.p[n]))
        n++;
    return n;
}

static int word_text(struct arena *a, struct slice word, char **ret, struct err *e)
{
    cleanup_buf struct buf text;
    int r = 0;

    buf_init(&text, word.n + 1);
    if (word.p[0] == '"')
        r = go_unquote(&word, &text);
    else if (word.p[0] == '\'')
        r = buf_append(&text, word.p + 1, word.n - 2);
    else
        r = buf_append(&text, word.p, word.n);
    if (r < 0)
        return err_set(e, ERR_USAGE, "bad escape in %.*s", (int)MIN(word.n, 200u),
                       (const char *)word.p);
    if (text.n && memchr(text.p, 0, text.n))
        return err_set(e, ERR_USAGE, "a word holds a zero byte");
    *ret = arena_dup(a, text.n ? (const void *)text.p : "", text.n);
    return *ret ? 0 : err_set(e, ERR_LIMIT, "line too long");
}

int words_split(struct arena *a, struct slice line, char ***ret_words, int *ret_n, struct err *e)
{
    /* Two words have a blank or two quotes between them, and a NULL stands at the end. */
    char **words = arena_alloc(a, (line.n / 2 + 2) * sizeof *words);
    int n = 0;

    if (!words)
        return err_set(e, ERR_LIMIT, "line too long");
    while (line.n > 0) {
        size_t len = word_len(line);
        if (len > 0) {
            int r = word_text(a, slice_of(line.p, len), &words[n++], e);
            if (r < 0)
                return r;
        }
        line = slice_skip(line, len ? len : 1);
    }
    words[n] = NULL;
    *ret_words = words;
    *ret_n = n;
    return 0;
}
