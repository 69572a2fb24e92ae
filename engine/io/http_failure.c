/* http_failure.c -- why a transfer failed, in words and with a code. */
#include <errno.h>
#include <string.h>

#include "io/http_op.h"

const char *http_op_detail(const struct http_op *op, CURLcode code)
{
    return *op->curl_error ? op->curl_error : libcurl.easy_strerror(code);
}

static void fail_connect(struct http_op *op, CURLcode code)
{
    const char *where = op->plan->request.shown_url;
    const char *path = op->plan->request.of.unix_path;
    long number = 0;
    libcurl.easy_getinfo(op->transfer.easy, CURLINFO_OS_ERRNO, &number);
    if (number == ECONNREFUSED)
        err_set(&op->err, "refused", "%s: connection refused", path ? path : where);
    else if (number)
        err_errno(&op->err, (int)number, "%s: cannot connect", path ? path : where);
    else
        err_set(&op->err, "refused", "%s: cannot connect: %s", path ? path : where,
                http_op_detail(op, code));
}

static void fail_size(struct http_op *op)
{
    if (op->head_too_big)
        err_set(&op->err, "bad_reply", "%s: the headers are larger than %d bytes",
                op->plan->request.shown_url, HTTP_MAX_HEADERS);
    else
        err_set(&op->err, "bad_reply", "%s: %s is larger than %zu bytes",
                op->plan->request.shown_url, op->stream ? "a line of the body" : "the body",
                op->plan->request.of.max_bytes);
}

/* What libcurl calls failures of TLS, told apart from those of the network. */
static bool fail_tls(struct http_op *op, CURLcode code)
{
    const char *url = op->plan->request.shown_url, *detail = http_op_detail(op, code);
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        err_set(&op->err, "io", "%s: its TLS certificate is not accepted: %s", url, detail);
        return true;
    case CURLE_SSL_CACERT_BADFILE:
        err_set(&op->err, "invalid", "%s: cannot use the CA file %s: %s", url,
                op->plan->request.of.ca ? op->plan->request.of.ca : "of the system", detail);
        return true;
    case CURLE_SSL_CERTPROBLEM:
        err_set(&op->err, "invalid", "%s: cannot use the client certificate or key: %s", url,
                detail);
        return true;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED:
        err_set(&op->err, "io", "%s: the TLS handshake failed: %s", url,
                strstr(detail, "wrong version number") ? "no TLS is spoken there" : detail);
        return true;
    default:
        return false;
    }
}

void http_op_fail(struct http_op *op, CURLcode code)
{
    const char *url = op->plan->request.shown_url;
    if (op->too_big || op->head_too_big) {
        fail_size(op);
    } else if (code == CURLE_COULDNT_CONNECT) {
        fail_connect(op, code);
    } else if (code == CURLE_GOT_NOTHING) {
        err_set(&op->err, "bad_reply", "%s: the connection was closed without an answer", url);
    } else if (code == CURLE_PARTIAL_FILE) {
        err_set(&op->err, "bad_reply", "%s: the answer was cut off: %s", url,
                http_op_detail(op, code));
    } else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY) {
        err_set(&op->err, "bad_reply", "%s: the answer is not HTTP: %s", url,
                http_op_detail(op, code));
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        err_set(&op->err, "timeout", "%s: cannot connect: the host does not answer", url);
    } else if (!fail_tls(op, code)) {
        err_set(&op->err, "io", "%s: %s", url, http_op_detail(op, code));
    }
}
