/*
 * goquote: strings between double quotes as Go writes them (%q) and reads them (strconv.Unquote):
 * what etcdctl prints with --write-out=fields, hands to watch commands, and reads in txn.
 */
#ifndef ETCDCTL_GOQUOTE_H
#define ETCDCTL_GOQUOTE_H

#include "base/buf.h"

/* Appends s quoted. Bytes that are no UTF-8 become \xhh. 0 or -ENOBUFS. */
int go_quote(struct buf *out, struct slice s);

/* Reads one quoted string ("..." with escapes, or `...` raw) from the front of *in, appends what it
 * says to out and moves *in behind it. 0, -EINVAL when it is none, or -ENOBUFS. On failure *in
 * stays. */
int go_unquote(struct slice *in, struct buf *out);

#endif
