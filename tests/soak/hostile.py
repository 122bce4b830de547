"""Clients that mean no good, all at once and without end."""
import contextlib
import os
import random
import socket
import ssl
import struct
import time

from promptd import pause
from test_gate import BAD, CHUNKED, GET, RENDER, SECOND

STAY = 4.0  # seconds for which a connection is held at most
NESTED = b'{"variables":' + b"[" * 5000
AUTHORIZATION = b"Authorization: Bearer "


def whole(connection, data):
    """Send it all and read what comes."""
    connection.sendall(data)
    connection.settimeout(1)
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass


def cut(connection, data):
    """Send a part and leave without a word."""
    connection.sendall(data[:random.randrange(len(data))])


def reset(connection, data):
    """Send, and reset the connection while it is being answered."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sendall(data)


def drip(connection, data):
    """Send a few bytes, slower and slower."""
    for i in range(5):
        connection.sendall(data[i:i + 1])
        pause(0.05 * i)


def half(connection, data):
    """Say that no more comes, and read nothing."""
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


WAYS = (whole, cut, reset, drip, half)


def requests():
    """What to send: what is refused, what is large, and what is asked for too often."""
    wrong = b"GET /prompts HTTP/1.1\r\nHost: x\r\n" + AUTHORIZATION + os.urandom(8).hex().encode() + b"\r\n\r\n"
    body = RENDER.replace(b"\r\n", b"\r\n" + AUTHORIZATION + b"good\r\n", 1) + b"Content-Length: %d\r\n\r\n"
    return [*(data for _, data in BAD.values()), SECOND * 200, wrong * 20, GET + b"\r\n", CHUNKED + b"5\r\nab",
            body % len(NESTED) + NESTED, body % 1000000 + b" " * 1000000, os.urandom(3000),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(40)]


def secured(connection):
    """The connection behind a handshake, whoever is there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)


def attack(port, secure_port, ended, seed):
    """Until it is ended; some connections are only held. The port with TLS gets TLS, and what is none."""
    random.seed(seed)
    held = []
    while not ended.is_set():
        now = time.monotonic()
        for until, connection in [h for h in held if h[0] < now]:
            connection.close()
            held.remove((until, connection))
        with contextlib.suppress(OSError):
            with_tls = random.random() < 0.3
            to = secure_port if with_tls or random.random() < 0.2 else port
            connection = socket.create_connection(("127.0.0.1", to), STAY)
            held.append((now + random.uniform(0, STAY), connection))
            if with_tls:
                connection = secured(connection)
                held[-1] = (held[-1][0], connection)
            random.choice(WAYS)(connection, random.choice(requests()))
        pause(0.002)
    for _, connection in held:
        connection.close()
