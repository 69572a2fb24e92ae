/* http_bare.c -- a connection over which bytes go as they are. */
#include "io/http_op.h"

int http_socket(struct http_op *op)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    libcurl.easy_getinfo(op->transfer.easy, CURLINFO_ACTIVESOCKET, &fd);
    http_multi_unwatch(op->io, fd);
    return fd;
}

static ssize_t outcome(struct http_op *op, CURLcode code, size_t count, const char **ret_why)
{
    *ret_why = code == CURLE_OK || code == CURLE_AGAIN ? NULL : http_op_detail(op, code);
    return code == CURLE_OK ? (ssize_t)count : -1;
}

ssize_t http_say(struct http_op *op, const char *bytes, size_t len, const char **ret_why)
{
    size_t count = 0;
    CURLcode code = libcurl.easy_send(op->transfer.easy, bytes, len, &count);
    return outcome(op, code, count, ret_why);
}

ssize_t http_hear(struct http_op *op, char *bytes, size_t size, const char **ret_why)
{
    size_t count = 0;
    CURLcode code = libcurl.easy_recv(op->transfer.easy, bytes, size, &count);
    return outcome(op, code, count, ret_why);
}
