"""Keeps a process on loopback: an audit hook refuses every other address, and notes the attempt."""

import sys

ADDRESS = "127.0.0.1"
MARK = "left loopback:"

attempts = []
installed = []


def refuse_outside(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = args[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    if host not in (ADDRESS, ADDRESS.encode()):
        attempts.append(f"{event} {host}")
        print(MARK, event, host, file=sys.stderr, flush=True)
        raise ConnectionRefusedError(f"{event}: {host} is not loopback")


def install():
    if refuse_outside not in installed:
        installed.append(refuse_outside)
        sys.addaudithook(refuse_outside)
