/*
 * opt_yaml: a configuration file in YAML (or JSON, which is YAML) read into an opt_set.
 *
 *     name: infra1
 *     listen-client-urls: [http://10.0.0.1:2379, http://localhost:2379]
 *     client-transport-security:
 *       cert-file: /etc/ssl/etcd.pem
 *
 * Keys are option names; a key inside a section is mapped by a table the caller gives. A list is
 * the same as its values with commas between. A key without a value, `~` and `null` leave the
 * option as it is. Everything deeper, anchors, aliases, keys given twice and keys nobody knows are
 * errors that name file, line and, where there is one, the nearest known key.
 */
#ifndef IO_OPT_YAML_H
#define IO_OPT_YAML_H

#include "base/opt.h"
#include "base/slice.h"

#define OPT_YAML_BYTES_MAX (1024u * 1024) /* upstream's commented sample has 5 KiB */
#define OPT_YAML_VALUE_MAX (64u * 1024)   /* one value, or one list with its commas */

/* Where a key inside a section goes. */
struct opt_yaml_row {
    const char *section; /* NULL: the top level, for keys that differ from the option's name */
    const char *key;
    const char *option; /* must be a row of the set */
};

/* Reads the file at path. rows ends with a row whose key is NULL; NULL: no sections. 0, a negated
 * errno (the file cannot be read), or ERR_CONFIG. After an error some values are set. */
int opt_yaml_load(struct opt_set *s, const char *path, const struct opt_yaml_row *rows,
                  struct err *e);
/* The same from memory; name stands for the file in errors. 0 or ERR_CONFIG. */
int opt_yaml_parse(struct opt_set *s, struct slice text, const char *name,
                   const struct opt_yaml_row *rows, struct err *e);

#endif
