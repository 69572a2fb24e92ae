/* http_stream.c -- a body that is read line by line while it comes. */
#include <string.h>

#include "io/http_op.h"

struct http_op *http_stream_start(struct io *io, const struct http_request *request,
                                  http_changed_fn *changed, void *data)
{
    struct http_op *op = http_op_start(io, NULL, request, data);
    op->stream = true;
    op->changed = changed;
    return op;
}

enum http_stream_state http_stream_head(struct http_op *op, struct http_response *ret_head)
{
    if (!op->head_ended)
        return op->ended ? HTTP_STREAM_ENDED : HTTP_STREAM_WAITING;
    *ret_head = http_op_response(op);
    return HTTP_STREAM_READY;
}

static bool take_line(struct http_op *op, size_t len, size_t line_end, const char **ret_line,
                      size_t *ret_len)
{
    *ret_line = op->body.data + op->line_at;
    *ret_len = len && line_end && (*ret_line)[len - 1] == '\r' ? len - 1 : len;
    op->line_at += len + line_end;
    op->scanned = op->line_at;
    return true;
}

static bool next_line(struct http_op *op, const char **ret_line, size_t *ret_len)
{
    size_t left = op->body.len - op->scanned;
    char *end = left ? memchr(op->body.data + op->scanned, '\n', left) : NULL;
    if (end)
        return take_line(op, (size_t)(end - op->body.data) - op->line_at, 1, ret_line, ret_len);
    buf_consume(&op->body, op->line_at);
    op->line_at = 0;
    op->scanned = op->body.len;
    return false;
}

enum http_stream_state http_stream_line(struct http_op *op, const char **ret_line, size_t *ret_len)
{
    if (next_line(op, ret_line, ret_len))
        return HTTP_STREAM_READY;
    if (op->paused) {
        op->paused = false;
        libcurl.easy_pause(op->transfer.easy, CURLPAUSE_CONT); /* hands over what it held back */
        if (next_line(op, ret_line, ret_len))
            return HTTP_STREAM_READY;
    }
    if (!op->ended)
        return HTTP_STREAM_WAITING;
    if (op->err.code || !op->body.len)
        return HTTP_STREAM_ENDED;
    take_line(op, op->body.len, 0, ret_line, ret_len); /* the last line had no end */
    return HTTP_STREAM_READY;
}

const struct err *http_stream_error(struct http_op *op)
{
    return op->ended && op->err.code ? &op->err : NULL;
}
