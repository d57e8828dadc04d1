/*
 * json_write: JSON into a buf, piece by piece, commas by itself.
 *
 *     struct json_writer w;
 *     json_write_init(&w, &out, 0);
 *     json_write_object(&w);
 *     json_write_key(&w, SLICE_LIT("count"));
 *     json_write_i64(&w, 3);
 *     json_write_object_end(&w);
 *     r = json_write_finish(&w);
 *
 * Text comes out byte for byte as Go's encoding/json writes it (1.22 and later). Allocates nothing
 * but through the buf. The first failure stays: later calls do nothing and json_write_finish
 * returns it, so that a caller checks once. Pieces in an impossible order (a value without its key,
 * an end without its begin) are the caller's bug and assert.
 */
#ifndef BASE_JSON_WRITE_H
#define BASE_JSON_WRITE_H

#include "base/buf.h"

#define JSON_DEPTH_MAX 64 /* nested objects and arrays; our deepest answers have about ten */

enum json_flags {
    JSON_HTML = 1, /* <, > and & as \u003c: encoding/json's default (SetEscapeHTML) */
};

struct json_writer {
    struct buf *out;
    unsigned flags;
    int failure;       /* 0, -ENOBUFS: past the buf's max, ERR_LIMIT: past JSON_DEPTH_MAX */
    unsigned depth;    /* objects and arrays open */
    uint64_t is_array; /* bit per open level, the outermost lowest */
    bool has_items;    /* something stands before in the open level */
    bool has_key;      /* a key waits for its value */
};

/* out is borrowed and appended to. flags: of enum json_flags. */
void json_write_init(struct json_writer *w, struct buf *out, unsigned flags);
/* 0, or the first failure, after which out holds a part. Asserts that everything begun has ended.
 */
int json_write_finish(struct json_writer *w);

void json_write_object(struct json_writer *w);
void json_write_object_end(struct json_writer *w);
void json_write_array(struct json_writer *w);
void json_write_array_end(struct json_writer *w);
void json_write_key(struct json_writer *w, struct slice key);

/* Invalid UTF-8 becomes \ufffd, one a byte. */
void json_write_str(struct json_writer *w, struct slice s);
void json_write_i64(struct json_writer *w, int64_t v);
void json_write_u64(struct json_writer *w, uint64_t v);
/* The same between quotes: protobuf's JSON mapping of 64-bit numbers. */
void json_write_i64_quoted(struct json_writer *w, int64_t v);
void json_write_u64_quoted(struct json_writer *w, uint64_t v);
void json_write_bool(struct json_writer *w, bool v);
void json_write_null(struct json_writer *w);
/* A value that is JSON already; not checked. */
void json_write_raw(struct json_writer *w, struct slice json);
/* Bytes as a base64 string: Go's and protobuf's mapping of []byte. */
void json_write_base64(struct json_writer *w, struct slice bytes);

/* The inside of a JSON string: escapes from *in into out as long as whole characters fit into room,
 * moves *in past what was written and returns the bytes written. *in is empty afterwards unless
 * room ran out. For writers that may not allocate. */
size_t json_escape(struct slice *in, unsigned flags, char *out, size_t room);

#endif
