"""TLS of outgoing calls: the connection goes to a checked address, the name in it stays the URL's."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from colonnade.ground.outgoing import AllowList, OutgoingClient, OutgoingRefused
from tests.fakes.receiver import Receiver
from tests.ground.calling import NAME, names, reason_of


def _certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _certificate(tmp_path_factory.mktemp("tls"), NAME)


def _server_tls(certificate: Path, note: Callable[[str | None], None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _object, name, _context: note(name)
    return context


async def test_tls_asks_for_the_name_and_accepts_only_its_certificate(certificate: Path) -> None:
    heard: list[str | None] = []
    lookup, _ = names(["127.0.0.1"])
    async with Receiver(tls=_server_tls(certificate, heard.append)) as receiver:
        allow = AllowList.parse(f"127.0.0.1:{receiver.port}")
        trusting = ssl.create_default_context(cafile=certificate)
        async with OutgoingClient(allow, lookup=lookup, tls=trusting) as client:
            answer = await client.request("GET", f"https://{NAME}:{receiver.port}/")
            other_name = await reason_of(client.request("GET", f"https://other.example.com:{receiver.port}/"))
        async with OutgoingClient(allow, lookup=lookup) as client:
            with pytest.raises(OutgoingRefused) as untrusted:
                await client.request("GET", f"https://{NAME}:{receiver.port}/")

    assert (answer.status, heard[0], other_name) == (200, NAME, "connection_failed")
    assert receiver.requests[0].headers["host"] == f"{NAME}:{receiver.port}"
    assert untrusted.value.reason == "connection_failed"
    assert "certificate" in untrusted.value.sentence
    assert len(receiver.requests) == 1
