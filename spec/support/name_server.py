"""A small name server on UDP and TCP. Prints its port, then serves until killed.

The first label of a name says how it answers: see `answers`.
"""
import os
import socket
import struct
import threading

SRV, TXT, A, AAAA, CNAME = 33, 16, 1, 28, 5


def name(text):
    labels = [label for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def record(owner, kind, ttl, data):
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def srv(priority, weight, port, target):
    return struct.pack(">HHH", priority, weight, port) + name(target)


def txt(*strings):
    return b"".join(bytes([len(text)]) + text for text in strings)


POINTER = b"\xc0\x0c"  # to the question's name

answers = {
    "srv": [record(POINTER, SRV, 30, srv(1, 2, 3000, "pds.example.test.")),
            record(POINTER, SRV, 20, srv(0, 5, 3001, "pds2.example.test."))],
    "txt": [record(POINTER, TXT, 60, txt(b"did=did:plc:abc", b"exp=9")),
            record(POINTER, TXT, 50, txt(b"", b"x" * 255))],
    "a": [record(POINTER, A, 300, bytes([192, 0, 2, 7]))],
    "aaaa": [record(POINTER, AAAA, 300, bytes(15) + b"\1")],
    "alias": [record(POINTER, CNAME, 5, name("real.test")),
              record(name("real.test"), A, 300, bytes([192, 0, 2, 8]))],
    "big": [record(POINTER, TXT, 60, txt(b"%04d" % n + b"y" * 200)) for n in range(40)],
    "short-address": [record(POINTER, A, 60, bytes([192, 0]))],
    "long-data": [record(POINTER, A, 60, bytes(4))[:-6] + struct.pack(">H", 400) + bytes(4)],
    "wild-pointer": [record(POINTER, SRV, 60, struct.pack(">HHH", 1, 1, 1) + b"\xff\xff")],
    "pointer-loop": [record(POINTER, SRV, 60, struct.pack(">HHH", 1, 1, 1) + b"\xc0\x27" * 3)],
    "bad-text": [record(POINTER, TXT, 60, b"\xffabc")],
    "empty": [],
}
codes = {"refuse": 5, "fail": 2, "missing": 3}


def reply(query, tcp):
    end = query.index(b"\0", 12) + 5
    first = query[13:13 + query[12]].decode()
    question = query[12:end]
    if first == "silent":
        return None
    records = answers.get(first, [])
    if first == "liar":
        return query[:2] + struct.pack(">HHHHH", 0x8580, 1, 65535, 0, 0) + question
    code = codes.get(first, 0)
    body = b"".join(records)
    message = struct.pack(">HHHHH", 0x8580 | code, 1, len(records), 0, 0) + question + body
    if not tcp and len(message) > 500:
        message = struct.pack(">HHHHH", 0x8780, 1, 0, 0, 0) + question
    return query[:2] + message


def serve_tcp(listener):
    while True:
        sock, _ = listener.accept()
        with sock:
            size = sock.recv(2, socket.MSG_WAITALL)
            if len(size) < 2:
                continue
            message = reply(sock.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL), True)
            if message:
                sock.sendall(struct.pack(">H", len(message)) + message)


def serve_udp(sock):
    while True:
        query, client = sock.recvfrom(4096)
        message = reply(query, False)
        if message:
            sock.sendto(message, client)


def both():
    """UDP and TCP on one port that the kernel chose."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(("127.0.0.1", udp.getsockname()[1]))
        except OSError:
            udp.close()


udp, tcp = both()
threading.Thread(target=serve_tcp, args=(tcp,), daemon=True).start()
print(os.getpid(), udp.getsockname()[1], flush=True)
serve_udp(udp)
