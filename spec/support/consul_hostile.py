"""A server in the place of Consul that answers as its first argument says. Prints its pid and port.

Every answer to /v1/... is of one kind: garbage half never html no-index huge-index shapes leaderless
empty late (a good one, after some ms) slow (blocking queries take longer than they
should, others take half a second) echo (what was asked, as an error)
bomb (what takes a hundred times its length in memory) wild (the bytes of a good answer, changed at random by the
seed that is the second argument).
/count tells how many others were asked for.
"""
import json
import os
import random
import re
import socket
import sys
import threading
import time

KIND = sys.argv[1]
GOOD = [{"Node": {"Node": "n1", "Address": "127.0.0.1"},
         "Service": {"ID": "web@a", "Service": "web", "Tags": ["x"], "Address": "", "Port": 80,
                     "Meta": {"scheme": "http", "orrery-0": "{\"meta\":{\"a b\":\"c\"}}"},
                     "ModifyIndex": 7},
         "Checks": [{"Status": "passing", "ModifyIndex": 7}]}]
SHAPES = [
    [None, 1, "x", [], {}], [{"Service": 1, "Node": []}], [{"Service": {"ID": {}}, "Node": {"Node": 5}}],
    [{"Service": {"ID": "a", "Port": -5, "Tags": {"x": 1}, "Meta": [1]}, "Checks": 5,
      "Node": {"Node": "n", "Address": "10.0.0.1"}}],
    [{"Service": {"ID": "b", "Port": 1e300, "Tags": [1, None, "t" * 5000, "ok"],
                  "Meta": {"orrery-0": "[1,", "did": "nonsense", "scheme": "9", "": "x", "k": 5}},
      "Checks": [5, {"Status": 5}, {"Status": "?"}], "Node": {"Node": "a/b c", "Address": "10.0.0.2"}}],
    [{"Service": {"ID": "c\0d", "Address": "bad address!", "Meta": {"orrery-0": "{\"meta\":5}"}},
      "Node": {"Node": "n", "Address": "10.0.0.3"}}],
    {"Service": 1}, 5, "text", None,
]
asked = 0
chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)


def reply(sock, body, status="200 OK", index="7", length=None):
    head = "HTTP/1.1 %s\r\nContent-Length: %d\r\n" % (status, len(body) if length is None else length)
    if index:
        head += "X-Consul-Index: %s\r\n" % index
    sock.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)


def wild():
    text = bytearray(json.dumps(GOOD).encode())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text))
        change = chance.randrange(3)
        if change == 0:
            text[at] = chance.choice(b"{}[]\",:0\\u-e\x00\xff")
        elif change == 1:
            del text[at:at + chance.randint(1, 20)]
        else:
            text[at:at] = bytes(text[at:at + chance.randint(1, 30)])
    return bytes(text)


def answer(sock, number, query, head):
    if KIND == "garbage":
        sock.sendall(b"\x00\xff nonsense\r\n\r\n")
    elif KIND == "half":
        reply(sock, json.dumps(GOOD).encode()[:40], length=1000)
    elif KIND == "never":
        time.sleep(60)
    elif KIND == "html":
        reply(sock, b"<html>It works!</html>", index=None)
    elif KIND == "no-index":
        reply(sock, json.dumps(GOOD).encode(), index=None)
    elif KIND == "huge-index":
        reply(sock, json.dumps(GOOD).encode(), index="9" * 30)
    elif KIND == "shapes":
        reply(sock, json.dumps(SHAPES[number % len(SHAPES)]).encode())
    elif KIND == "leaderless":
        reply(sock, b"No cluster leader", "500 Internal Server Error", "1")
    elif KIND == "empty":
        reply(sock, b"")
    elif KIND == "slow":
        wait = re.search(r"wait=(\d+)ms", query)
        time.sleep(int(wait.group(1)) / 1000 + 0.15 if wait else 0.5 if number > 1 else 0)
        reply(sock, json.dumps(GOOD).encode())
    elif KIND == "echo":
        reply(sock, b"You sent:\n" + head, ["404 Not Found", "403 Forbidden", "418 I'm a teapot"][number % 3])
    elif KIND == "bomb":
        reply(sock, b"[" + b"{}," * 10000000 + b"0]")
    elif KIND == "late":
        time.sleep(chance.random() / 50)
        reply(sock, json.dumps(GOOD).encode())
    elif KIND == "wild":
        reply(sock, wild())


def serve(sock):
    global asked
    try:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return
            data += piece
        path, _, query = data.split(b" ", 2)[1].decode().partition("?")
        if path == "/count":
            reply(sock, b"%d" % asked)
        else:
            asked += 1
            answer(sock, asked, query, data)
    except OSError:
        pass
    finally:
        sock.close()


listener = socket.create_server(("127.0.0.1", 0), backlog=512)
print(os.getpid(), listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
