"""A name server that misbehaves, on UDP and TCP. Prints its pid and port, then serves until killed.

The label before ".test", or its argument, says how: see `answer` for questions and `answer_update` for updates. For
"fuzz-N" and "updfuzz-N" N seeds what is random.
"""
import random
import struct
import sys

from dns_wire import POINTER, name, read_question, record as record_of, send, serve

A, NS, SOA, PTR, TXT, SRV, ANY = 1, 2, 6, 12, 16, 33, 255


def record(owner, kind, data, ttl=1):
    return record_of(owner, kind, ttl, data)


def labels_of(query):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    return labels, at + 1


def message(query, end, code=0, answers=(), authority=(), additional=(), flags=0x8480, counts=None):
    counts = counts or (len(answers), len(authority), len(additional))
    return (query[:2] + struct.pack(">HH", flags | (query[2] & 0x78) << 8 | code, 1)
            + struct.pack(">HHH", *counts) + query[12:end]
            + b"".join(answers) + b"".join(authority) + b"".join(additional))


def soa(zone):
    return record(name(zone), SOA, name("ns." + zone) + name("x." + zone)
                  + struct.pack(">IIIII", 1, 1, 1, 1, 1))


CODES = {"formerr": 1, "servfail": 2, "notimp": 4, "refused": 5, "yxdomain": 6, "notauth": 9,
         "notzone": 10, "strange": 13}


def noise(dice):
    """Bytes that are often nearly records."""
    parts = []
    for _ in range(dice.randrange(6)):
        kind = dice.choice([A, NS, SOA, PTR, TXT, SRV, 250, 41, dice.randrange(65536)])
        data = dice.randbytes(dice.randrange(40))
        if dice.random() < 0.5:
            data = {
                A: bytes(4), TXT: b"\x03abc\x06exp=99\x04=\xffab",
                SRV: struct.pack(">HHH", 0, 0, 1) + dice.choice([POINTER, b"\x01h\x00"]),
            }.get(kind, b"\x04many" + POINTER)
        size = len(data) if dice.random() < 0.9 else dice.randrange(65536)
        owner = dice.choice([POINTER, POINTER, b"\0", b"\x01x" + POINTER, dice.randbytes(3)])
        parts.append(owner + struct.pack(">HHIH", kind, 1, dice.randrange(2 ** 32), size) + data)
    return parts


def fuzz(query, end, seed):
    dice = random.Random(seed + repr(query[12:end]))
    parts = noise(dice) if dice.random() < 0.8 else [dice.randbytes(dice.randrange(80))]
    first = dice.randrange(len(parts) + 1)
    counts = [first, len(parts) - first, 0]
    if dice.random() < 0.2:
        counts = [dice.choice([0, 1, 2, 3, 65535]) for _ in range(3)]
    return message(query, end, dice.choice([0, 0, 0, 3]), parts, counts=counts)


def answer(query, mode, kind, end, tcp):
    if mode in CODES:
        return message(query, end, CODES[mode])
    if mode.startswith("fuzz-"):
        return fuzz(query, end, mode)
    if mode == "silent":
        return None
    if mode == "garbage":
        return query[:2] + b"\x84\x00" + query[4:end] + b"\xff" * 40
    if mode == "short":
        return query[:9]
    if mode == "half":
        return message(query, end, answers=[record(POINTER, PTR, name("x.test"))])[:-4]
    if mode == "loop":
        return message(query, end, answers=[record(POINTER, kind, b"\xc0" + bytes([end + 12]))])
    if mode == "referral":
        return message(query, end, authority=[record(name("test"), NS, name("ns.elsewhere.test"))],
                       flags=0x8000)
    if mode.startswith("tcp"):
        if not tcp:
            return message(query, end, flags=0x8680)
        return None if mode == "tcpsilent" else message(query, end, flags=0x8480)
    if mode == "wrongid":
        return bytes([query[0] ^ 1]) + message(query, end, 3, authority=[soa("test")])[1:]
    if mode == "other":  # an answer to a question that was not asked
        other = query[:12] + name("other.test") + query[end - 4:end]
        return message(other, len(other), 3)
    if mode == "flood" and kind != PTR:  # as much as an answer can hold, to each of many questions
        if not tcp:
            return message(query, end, flags=0x8680)
        return message(query, end, answers=[record(POINTER, A, bytes(4))] * 4000)
    if mode == "crowd" and kind == PTR:
        if not tcp:
            return message(query, end, flags=0x8680)
        return message(query, end, answers=[record(POINTER, kind, POINTER)] * 4500)
    if mode in ("many", "flood") and kind == PTR:
        return message(query, end, answers=[record(POINTER, PTR, b"\x03" + b"%03d" % i + POINTER)
                                            for i in range(60)])
    if mode == "many" and kind == SRV:
        return message(query, end, answers=[record(POINTER, SRV, struct.pack(">HHH", 0, 0, 1)
                                                   + b"\x01h" + POINTER)])
    if kind == SOA:
        return message(query, end, answers=[soa("test")])
    return message(query, end, 3, authority=[soa("test")])


def answer_update(query, mode, end):
    what = mode[3:]
    if what in CODES:
        return message(query, end, CODES[what], flags=0x8000)
    if what == "silent":
        return None
    if what == "garbage":
        return query[:2] + b"\xa8\x00" + query[4:end] + b"\xff" * 40
    if what.startswith("fuzz-"):
        return fuzz(query, end, mode)
    if what == "mirror":  # the very message, with its signature, as an answer
        return query[:2] + b"\xa8\x00" + query[4:]
    if what == "forged":  # signed by nobody
        mac = bytes(32)
        data = (name("hmac-sha256") + b"\0\0" + struct.pack(">IHH", 1, 300, 32) + mac
                + query[:2] + b"\0\0\0\0")
        key = name("upd") + struct.pack(">HHIH", 250, ANY, 0, len(data)) + data
        return message(query, end, additional=[key], flags=0x8000)
    return message(query, end, flags=0x8000)


def reply(query, tcp):
    labels, at = labels_of(query)
    end = at + 4
    kind = struct.unpack(">H", query[at:at + 2])[0]
    if (query[2] >> 3) & 15 == 5:
        return answer_update(query, modes.get("update", "upd"), end)
    mode = sys.argv[1] if len(sys.argv) > 1 else labels[-2] if len(labels) > 1 else ""
    if mode.startswith("upd"):
        modes["update"] = mode
    return answer(query, mode, kind, end, tcp)


modes = {}  # of the last questions: an update names the zone only


def serve_one(sock):
    with sock:
        try:
            while serve_question(sock):
                pass
        except OSError:
            pass  # the client has gone


def serve_question(sock):
    """Whether another may come over this connection."""
    query = read_question(sock)
    if query is None:
        return False
    made = reply(query, True)
    if made is None:
        while sock.recv(64):  # until the client goes
            pass
    elif b"\x07tcphalf" in query:
        sock.sendall(struct.pack(">H", len(made)) + made[:5])
    elif b"\x08tcpclose" not in query:
        send(sock, made)
        return b"\x05flood" in query or b"\x05crowd" in query
    return False


serve(lambda query: reply(query, False), serve_one)
