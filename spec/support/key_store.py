"""A key store over HTTP: PUT and DELETE /<service>/<id>, GET /<service> for a JSON list with an ETag,
which `If-None-Match` with `Prefer: wait=N` waits to change, and GET / for the services.

The word after the port makes it misbehave for GET: garbage, half, never, storm (a new ETag and the
same list, at once, for ever), flood (another list each time, at once, for ever), broken (lists, but
answers 410 to those that wait). It prints "PID PORT" once it listens; a port may be given."""
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

values, version, changed = {}, 0, threading.Condition()
mode = sys.argv[2] if len(sys.argv) > 2 else ""
asked = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", etag=None, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(body)

    def change(self, value):
        global version
        with changed:
            if value is None:
                values.pop(self.path, None)
            else:
                values[self.path] = value
            version += 1
            changed.notify_all()
        self.answer(204)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.change(json.loads(body))

    def do_DELETE(self):
        self.change(None)

    def do_GET(self):
        global asked
        if self.path == "/asked":
            return self.answer(200, str(asked).encode())
        asked += 1
        if mode == "garbage":
            return self.answer(200, b'[{"id": "\x00\xff", ')
        if mode == "half":
            self.close_connection = True
            return self.answer(200, b'[{"id":', length=1000)
        if mode == "never":
            return threading.Event().wait(600)
        seen = self.headers.get("If-None-Match")
        wait = self.headers.get("Prefer", "")
        if mode == "broken" and seen:
            return self.answer(410)
        if mode in ("storm", "flood"):
            seen = None
        with changed:
            if seen and wait.startswith("wait="):
                changed.wait_for(lambda: '"%d"' % version != seen, float(wait[5:]))
            prefix = self.path.rstrip("/") + "/"
            found = [value for key, value in sorted(values.items()) if key.startswith(prefix)]
            tag = '"%d"' % (version if mode not in ("storm", "flood") else asked)
        if mode == "flood":
            found = [dict(value, meta={"asked": str(asked)}) for value in found]
        if self.path == "/":
            found = sorted({key.split("/")[1] for key in values})
        self.answer(200, json.dumps(found).encode(), tag)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, *_):
        pass  # a reader that has gone


server = Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
print(os.getpid(), server.server_port, flush=True)
server.serve_forever()
