/*
 * http1_grammar: the lines of an HTTP/1.1 request, each taken apart on its own (RFC 9112). Pure; a
 * line comes whole and without its CRLF, and what is set in outputs are views of it.
 *
 * Every function returns 0, or ERR_MALFORMED with the reason in *no.
 */
#ifndef WIRE_HTTP1_GRAMMAR_H
#define WIRE_HTTP1_GRAMMAR_H

#include "base/err.h"
#include "wire/http.h"

/* Why a request was refused: the answer's status and, as its body, what was wrong. */
struct http1_refusal {
    int status;
    const char *why; /* static */
};
/* Fills no; always ERR_MALFORMED, so that it can be returned. */
int http1_refuse(struct http1_refusal *no, int status, const char *why);

/* "GET /a?b HTTP/1.1": sets method, path, query and version of req, and authority when the target
 * is absolute (else it is left empty). 400; 501 for CONNECT and PRI; 505 for other versions. */
int http1_request_line(struct slice line, struct http_request *req, struct http1_refusal *no);
/* "Name: value". Folded lines and a blank before the colon are refused. */
int http1_field_line(struct slice line, struct http_header *ret, struct http1_refusal *no);
/* Only digits: no sign, blank or list. Numbers past 64 bits give UINT64_MAX. */
int http1_content_length(struct slice value, uint64_t *ret, struct http1_refusal *no);
/* 0 for a single "chunked"; 501 when other codings stand before it, else 400: the end of such a
 * body could not be known (RFC 9112, 6.3). */
int http1_transfer_coding(struct slice value, struct http1_refusal *no);
/* host or host:port, or nothing. */
int http1_host(struct slice value, struct http1_refusal *no);
/* "1a;name=value": the size of a chunk; extensions are checked and dropped. At most 16 digits. */
int http1_chunk_line(struct slice line, uint64_t *ret_size, struct http1_refusal *no);
/* Whether a request may begin with this byte. Tells a TLS handshake or other noise early. */
bool http1_may_begin(uint8_t c);

#endif
