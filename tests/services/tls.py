"""Certificates of authorities of the tests' own, and TLS before a server that has none."""

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import trustme

_SSL_REQUEST = struct.pack(">ii", 8, 80877103)
"""With this a PostgreSQL client asks for TLS, and is answered `S`."""


@dataclass
class Certificates:
    """Files: an authority, and what it has signed for 127.0.0.1 and for a client."""

    authority: Path
    certificate: Path
    key: Path
    client: Path
    client_key: Path


def certificates(folder: Path) -> Certificates:
    """Those of a new authority."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    made = Certificates(
        *(folder / f"{n}.pem" for n in ("ca", "cert", "key", "client", "clientkey"))
    )
    authority.cert_pem.write_to_path(made.authority)
    for name, certificate, key in (
        ("127.0.0.1", made.certificate, made.key),
        ("client.example", made.client, made.client_key),
    ):
        issued = authority.issue_cert(name)
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
    return made


@contextlib.contextmanager
def front(port: int, made: Certificates, *, client: bool = False, asked: bool = False) -> Iterator[int]:  # fmt: skip
    """A port on which TLS is spoken, and what comes is passed on to that other port.

    `client`: it wants a client's certificate. `asked`: it waits for PostgreSQL's request.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=made.authority)
    context.load_cert_chain(made.certificate, made.key)
    context.verify_mode = ssl.CERT_REQUIRED if client else ssl.CERT_NONE

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            if asked:
                assert await reader.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST
                writer.write(b"S")
            await writer.start_tls(context)
            there = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

    ready: Future[int] = Future()
    ended: Future[None] = Future()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            ready.set_result(server.sockets[0].getsockname()[1])
            await asyncio.wrap_future(ended)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        yield ready.result()
    finally:
        ended.set_result(None)
        thread.join()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
