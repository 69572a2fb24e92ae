"""keep_server.py CERT KEY UNIX_PATH -- HTTP/1.1 that keeps connections, and closes one
unannounced after its answer for /close. Answers {"requests": the number of requests on this connection so far}. Three listeners:
plain, TLS that wants a client certificate that CERT signed, and a Unix socket. Prints PID PORT
PORT."""
import json
import os
import socketserver
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    requests = 0

    def do_GET(self):
        self.requests += 1
        body = json.dumps({"requests": self.requests}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.path == "/close"

    def log_message(self, *args):
        pass


class Plain(socketserver.ThreadingTCPServer):
    daemon_threads = True
    context = None

    def finish_request(self, request, client_address):
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        self.RequestHandlerClass(request, client_address, self)
        request.close()

    def handle_error(self, request, client_address):
        pass


class Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


cert, key, path = sys.argv[1:]
plain, secure = Plain(("127.0.0.1", 0), Handler), Plain(("127.0.0.1", 0), Handler)
secure.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
secure.context.load_cert_chain(cert, key)
secure.context.verify_mode = ssl.CERT_REQUIRED
secure.context.load_verify_locations(cert)
unix = Unix(path, Handler)
print(os.getpid(), plain.server_address[1], secure.server_address[1], flush=True)
for server in (plain, secure, unix):
    threading.Thread(target=server.serve_forever).start()
