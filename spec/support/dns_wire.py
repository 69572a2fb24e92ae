"""What the name servers of the tests share: the wire format (RFC 1035) and serving on UDP and TCP."""
import os
import socket
import struct
import threading

POINTER = b"\xc0\x0c"  # to the question's name


def name(text):
    labels = [label for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def record(owner, kind, ttl, data):
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def read_question(sock):
    """The next question on a TCP connection; None: the client has gone."""
    size = sock.recv(2, socket.MSG_WAITALL)
    if len(size) < 2:
        return None
    return sock.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)


def send(sock, message):
    sock.sendall(struct.pack(">H", len(message)) + message)


def serve(reply, serve_one):
    """Prints the pid and the port, then answers until killed: by reply(question) on UDP, where None
    is silence, and by serve_one(socket), a thread for each connection, on TCP."""
    udp, tcp = both()
    threading.Thread(target=serve_tcp, args=(tcp, serve_one), daemon=True).start()
    print(os.getpid(), udp.getsockname()[1], flush=True)
    while True:
        question, client = udp.recvfrom(4096)
        message = reply(question)
        if message:
            udp.sendto(message, client)


def serve_tcp(listener, serve_one):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve_one, args=(sock,), daemon=True).start()


def both():
    """UDP and TCP on one port that the kernel chose."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(("127.0.0.1", udp.getsockname()[1]))
        except OSError:
            udp.close()
