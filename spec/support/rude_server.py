"""A server that misbehaves on request. Prints its ports (http, banner, silent, then its pid) and serves until killed.

http:   /ok /json /status/N /hang /drip /drip-body /big /loop /redirect /echo /cut /flag/PATH (200 while PATH exists)
banner: sends "220 ready", then answers PING with +PONG, SLOW too but after 0.3 s, and anything else with -ERR
silent: accepts and says nothing
"""
import json, os, signal, socket, sys, threading, time

signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def listen(serve):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", 0))
    server.listen(1024)
    threading.Thread(target=accept, args=(server, serve), daemon=True).start()
    return server.getsockname()[1]


def accept(server, serve):
    while True:
        peer, _ = server.accept()
        threading.Thread(target=guarded, args=(peer, serve), daemon=True).start()


def guarded(peer, serve):
    with peer:
        try:
            serve(peer)
        except OSError:
            pass


def until_closed(peer):
    while peer.recv(4096):
        pass


def reply(peer, status, body=b"", headers=""):
    head = "HTTP/1.1 %s Status\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n" % (status, len(body), headers)
    peer.sendall(head.encode() + body)


def drip(peer, text):
    for byte in text:
        peer.sendall(bytes([byte]))
        time.sleep(1)


def big(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(100):
        peer.sendall(b"x" * 1048576)


def http(peer):
    head = b""
    while b"\r\n\r\n" not in head:
        part = peer.recv(65536)
        if not part:
            return
        head += part
    head, _, body = head.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        body += peer.recv(65536)
    path = path.partition("?")[0]
    if path == "/ok":
        reply(peer, 200, b"hello")
    elif path == "/json":
        reply(peer, 200, json.dumps({"version": "1.2", "a/b": [1, {"c~d": None}], "n": 2.5, "up": True}).encode())
    elif path.startswith("/status/"):
        reply(peer, path[8:])
    elif path.startswith("/flag"):
        reply(peer, 200 if os.path.exists(path[5:]) else 503)
    elif path == "/hang":
        until_closed(peer)
    elif path == "/drip":
        drip(peer, b"HTTP/1.1 200 OK\r\n")
    elif path == "/drip-body":
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        drip(peer, b"x" * 1000)
    elif path == "/big":
        big(peer)
    elif path == "/loop":
        reply(peer, 302, headers="Location: /loop\r\n")
    elif path == "/redirect":
        reply(peer, 302, headers="Location: /ok\r\n")
    elif path == "/cut":
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
    elif path == "/echo":
        reply(peer, 200, json.dumps({"method": method, "headers": headers, "body": body.decode()}).encode())
    else:
        reply(peer, 404)


def banner(peer):
    peer.sendall(b"220 ready\r\n")
    while True:
        text = peer.recv(4096)
        if not text:
            return
        if text == b"SLOW\r\n":
            time.sleep(0.3)
            text = b"PING\r\n"
        peer.sendall(b"+PONG\r\n" if text == b"PING\r\n" else b"-ERR\r\n")


print(listen(http), listen(banner), listen(until_closed), os.getpid(), flush=True)
signal.pause()
