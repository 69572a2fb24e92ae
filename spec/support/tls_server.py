"""tls_server.py CERT KEY -- greets with "220 ready" over TLS, and answers "PING" with "+PONG" in two
pieces. A second port wants a certificate of the client's that CERT signed. Prints PID PORT PORT."""
import os
import socketserver
import ssl
import sys
import threading
import time


class Talk(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 ready\r\n")
        for line in self.rfile:
            if line.strip() == b"PING":
                self.wfile.write(b"+PO")
                time.sleep(0.05)
                self.wfile.write(b"NG\r\n")
            elif line.strip() == b"QUIT":
                return


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, cert, key, client_ca=None):
        super().__init__(("127.0.0.1", 0), Talk)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)

    def finish_request(self, request, client_address):
        """In the connection's own thread: a client that never shakes hands delays nobody."""
        with self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request, client_address):
        pass


servers = [Server(sys.argv[1], sys.argv[2]), Server(sys.argv[1], sys.argv[2], sys.argv[1])]
print(os.getpid(), *[s.server_address[1] for s in servers], flush=True)
for server in servers:
    threading.Thread(target=server.serve_forever).start()
