"""Gateways of etcd that misbehave. Prints its pid and their ports, then serves until killed.

usage: hostile_etcd.py WAY...      what each answer of one is; see do_POST()
"""
import base64
import http.server
import json
import os
import random
import sys
import threading
import time

HEADER = {"cluster_id": "1", "revision": "5"}
KEY = "/atproto/services/pds/a"
VALUE = '{"address": "10.0.0.1", "port": 80}'


def coded(text):
    return base64.b64encode(text.encode()).decode()


def kvs(value):
    return {"header": HEADER, "kvs": [{"key": coded(KEY), "mod_revision": "5", "value": value}]}


BODIES = {
    "garbage": b"\x00\xff<html>not etcd</html>",
    "empty": b"",
    "list": b"[]",
    "deep": b"[" * 100000,
    "headerless": b"{}",
    "revision": json.dumps({"header": {"revision": "5x"}}).encode(),
    "huge-number": json.dumps({"header": {"revision": "99999999999999999999"}}).encode(),
    "negative": json.dumps({"header": {"revision": "-3"}}).encode(),
    "base64": json.dumps(kvs("*not base64*")).encode(),
    "kvs": json.dumps({"header": HEADER, "kvs": [1, None, "x", {"key": 7}]}).encode(),
    "failure": json.dumps({"code": 2, "message": "the \x1b[31mdisk\n is on fire" * 99}).encode(),
    "number-failure": json.dumps({"code": "x", "message": 7}).encode(),
    "nul-key": json.dumps({"header": HEADER, "kvs": [
        {"key": coded(KEY), "mod_revision": "5", "value": coded(VALUE)},
        {"key": coded(KEY + "\0b"), "mod_revision": "5", "value": coded(VALUE)}]}).encode(),
    "good": json.dumps(kvs(coded(VALUE))).encode(),
}

# What a watch says, line by line, after the good answer to a range.
STREAMS = {
    "watch-garbage": [b"garbage\n"],
    "watch-half": [b'{"result":{"created":true}}\n{"resu'],
    "watch-end": [b'{"result":{"created":true}}\n'],
    "watch-events": [b'{"result":{"events":[{"kv":{"key":"**","mod_revision":"x"}}]}}\n'],
    "watch-cancel": [b'{"result":{"created":true}}\n{"result":{"canceled":true}}\n'],
    "watch-compacted": [b'{"result":{"canceled":true,"compact_revision":"5"}}\n'],
    "watch-status": [],
    "watch-silent": [],
}


logins = ["hush-token"]  # the tokens to give


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, lines):
        self.send_response(200)
        self.end_headers()
        for line in lines:
            self.wfile.write(line)
        self.close_connection = True

    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.way == "never" or (self.way == "watch-silent" and self.path.endswith("watch")):
            time.sleep(60)
        elif self.way == "echo":  # what was asked, as an error; the first login is let in
            if self.path.endswith("authenticate") and logins:
                self.send(200, json.dumps({"header": HEADER, "token": logins.pop()}).encode())
            else:
                said = str(self.headers) + sent
                self.send(400, json.dumps({"code": 3, "message": said}).encode())
        elif self.way == "late":
            time.sleep(random.random() / 50)
            self.send(200, BODIES["good"])
        elif self.way == "half":
            self.send(200, BODIES["good"][:20], 500)
            self.close_connection = True
        elif self.way == "close":
            self.close_connection = True
        elif self.way == "missing":
            self.send(404, b"404 page not found\n")
        elif self.way == "big":
            self.send(200, b'{"x":"' + b"y" * (80 << 20) + b'"}')
        elif self.way == "watch-status" and self.path.endswith("watch"):
            self.send(500, b"broken")
        elif self.way in STREAMS and self.path.endswith("watch"):
            self.stream(STREAMS[self.way])
        else:
            self.send(200, BODIES.get(self.way, BODIES["good"]))


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, *_):
        pass


def start(way):
    handler = type("Handler", (Handler,), {"way": way})
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever).start()
    return server.server_port


print(os.getpid(), *[start(way) for way in sys.argv[1:]], flush=True)
