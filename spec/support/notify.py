"""Sends its arguments as one sd_notify message, and waits until the receiver has taken it: the
barrier of sd_notify(3), a descriptor that the receiver closes. Says what systemd-notify says, on a
machine that has no systemd."""
import array
import os
import select
import socket
import sys

peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
peer.connect(os.environ["NOTIFY_SOCKET"])
peer.send("\n".join(sys.argv[1:]).encode())
reader, writer = os.pipe()
peer.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))])
os.close(writer)
if not select.select([reader], [], [], 5)[0]:
    sys.exit("the receiver kept the barrier's descriptor")
