/*
 * replay: runs a fuzz target over a folder of saved inputs, so that what a fuzzer once found stays
 * found with any compiler.
 *
 * usage: replay_X CORPUS_DIR. A folder that does not exist counts as empty; every target also gets
 * the empty input.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (!f) {
        perror(path);
        exit(1);
    }
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    /* Exactly n bytes, so that a read past the end is seen by the sanitizers. */
    uint8_t *data = xmalloc(n);
    if (fread(data, 1, n, f) != n) {
        perror(path);
        exit(1);
    }
    fclose(f);
    LLVMFuzzerTestOneInput(data, n);
    free(data);
}

int main(int argc, char **argv)
{
    size_t count = 1;

    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        if (d->d_name[0] == '.')
            continue;
        char *path = xasprintf("%s/%s", argv[1], d->d_name);
        replay_file(path);
        free(path);
        count++;
    }
    if (dir)
        closedir(dir);
    printf("%zu inputs replayed\n", count);
    return 0;
}
