"""A small name server on UDP and TCP. Prints its pid and port, then serves until killed.

The first label of a name says how it answers: see `answers`.
"""
import struct

from dns_wire import POINTER, name, read_question, record, send, serve

SRV, TXT, A, AAAA, CNAME = 33, 16, 1, 28, 5


def srv(priority, weight, port, target):
    return struct.pack(">HHH", priority, weight, port) + name(target)


def txt(*strings):
    return b"".join(bytes([len(text)]) + text for text in strings)


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


def serve_one(sock):
    with sock:
        question = read_question(sock)
        message = question and reply(question, True)
        if message:
            send(sock, message)


serve(lambda question: reply(question, False), serve_one)
