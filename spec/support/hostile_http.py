"""An HTTP server that misbehaves as its path says. Prints its ports, then serves until killed.

usage: hostile_http.py [CERT KEY]      with a certificate it prints a second, TLS port
"""
import os
import socket
import ssl
import struct
import sys
import threading
import time

connections = 0


def head(status, *lines):
    text = "HTTP/1.1 %s\r\n" % status + "".join(line + "\r\n" for line in lines) + "\r\n"
    return text.encode()


def plain(sock, body, status="200 OK", *lines):
    sock.sendall(head(status, "Content-Length: %d" % len(body), *lines) + body)


def redirect(sock, where, status="302 Found"):
    plain(sock, b"moved", status, "Location: " + where)


def drip(sock, pieces, seconds):
    for piece in pieces:
        sock.sendall(piece)
        time.sleep(seconds)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def flood(sock, piece, count):
    for _ in range(count):
        sock.sendall(piece)


def answer(sock, port, path, request, serial):
    if path.startswith("/status/"):
        plain(sock, b"status", path[8:] + " Whatever")
    elif path == "/serial":
        plain(sock, b"%d" % serial)
    elif path == "/echo":
        plain(sock, request)
    elif path == "/drip":
        sock.sendall(head("200 OK", "Content-Length: 1000"))
        drip(sock, [b"x"] * 1000, 0.05)
    elif path == "/drip-head":
        drip(sock, [b"HTTP/1.1 200 OK\r\n"] + [b"X: y\r\n"] * 1000, 0.05)
    elif path == "/big":
        sock.sendall(head("200 OK", "Content-Length: %d" % (100 << 20)))
        flood(sock, b"x" * 65536, 1600)
    elif path == "/big-chunks":
        sock.sendall(head("200 OK", "Transfer-Encoding: chunked"))
        flood(sock, b"10000\r\n" + b"x" * 65536 + b"\r\n", 1600)
    elif path == "/big-head":
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        flood(sock, b"X-Y: " + b"z" * 1000 + b"\r\n", 100000)
    elif path == "/half":
        sock.sendall(head("200 OK", "Content-Length: 100") + b"half")
    elif path == "/never":
        time.sleep(60)
    elif path == "/reset":
        reset(sock)
    elif path == "/half-reset":
        sock.sendall(head("200 OK", "Content-Length: 100") + b"half")
        time.sleep(0.05)
        reset(sock)
    elif path == "/garbage":
        sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    elif path == "/twice":
        sock.sendall(head("100 Continue") + head("200 OK", "X: 1", "x: 2", "Content-Length: 0"))
    elif path == "/loop":
        redirect(sock, "/loop")
    elif path.startswith("/hops/"):
        left = int(path[6:])
        redirect(sock, "/hops/%d" % (left - 1) if left > 1 else "/echo")
    elif path == "/elsewhere":
        redirect(sock, "http://localhost:%d/echo" % port)
    elif path == "/see-other":
        redirect(sock, "/echo", "303 See Other")
    elif path == "/same-method":
        redirect(sock, "/echo", "307 Temporary Redirect")
    elif path == "/to-file":
        redirect(sock, "file:///etc/hostname")
    elif path == "/lines":
        sock.sendall(head("200 OK", "X-Kind: lines"))
        drip(sock, [b"one\ntw", b"o\r\n\nthr", b"ee"], 0.02)
    elif path == "/cut-lines":
        sock.sendall(head("200 OK", "Content-Length: 100") + b"one\ntwo")
    elif path == "/many-lines":
        sock.sendall(head("200 OK"))
        flood(sock, b"".join(b"%d\n" % n for n in range(1, 200001)), 1)
    elif path == "/endless-line":
        sock.sendall(head("200 OK"))
        flood(sock, b"x" * 65536, 1600)
    else:
        plain(sock, b"not here", "404 Not Found")


def read_request(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return None
        data += piece
        if data.startswith(b"\x16"):  # a TLS client
            sock.sendall(b"this is no TLS\r\n")
            return None
    top, body = data.split(b"\r\n\r\n", 1)
    for line in top.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += sock.recv(65536)
    return top + b"\r\n\r\n" + body


def serve_connection(sock, port, serial):
    try:
        while True:
            request = read_request(sock)
            if request is None:
                break
            path = request.split(b" ", 2)[1].decode().split("?")[0]
            answer(sock, port, path, request, serial)
            if path not in ("/serial", "/echo") or b"connection: close" in request.lower():
                break
    except OSError:
        pass
    finally:
        sock.close()


def accept_loop(listener, context):
    global connections
    port = listener.getsockname()[1]
    while True:
        sock, _ = listener.accept()
        connections += 1
        threading.Thread(target=start, args=(sock, context, port, connections), daemon=True).start()


def start(sock, context, port, serial):
    try:
        if context:
            sock = context.wrap_socket(sock, server_side=True)
    except OSError:
        return
    serve_connection(sock, port, serial)


def listen(context=None):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=accept_loop, args=(listener, context), daemon=True).start()
    return listener.getsockname()[1]


def tls_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


ports = [listen()]
if len(sys.argv) == 3:
    ports.append(listen(tls_context(*sys.argv[1:])))
print(os.getpid(), *ports, flush=True)
threading.Event().wait()
