"""A mail server on loopback that speaks real SMTP, with and without TLS and passwords, and can be in a bad mood."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USER, PASSWORD = "colonnade", "p%ss/w@rd: ümlaut"


class MailServer:
    """Takes mails and keeps them; `moods` are answers to the next receivers or texts instead of a yes."""

    def __init__(self, *, folder: Path | None = None, with_password: bool = False, takes_utf8: bool = True) -> None:
        self.taken: list[EmailMessage] = []
        self.receivers: list[str] = []
        self.moods_rcpt: list[str] = []
        self.moods_data: list[str] = []
        self.hangs = False
        self.on_data: Callable[[], Any] | None = None
        self.with_password = with_password
        self._takes_utf8 = takes_utf8
        self.certificate = None if folder is None else _certificate(folder)
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "MailServer":
        self._server = await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _protocol(self) -> SMTP:
        context = None
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.certificate.with_suffix(".key"))
        return SMTP(
            self,
            hostname="mail.example",
            enable_SMTPUTF8=self._takes_utf8,
            tls_context=context,
            require_starttls=context is not None,
            authenticator=self._authenticate if self.with_password else None,
            auth_required=self.with_password,
            auth_require_tls=context is not None,
        )

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        right = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    async def handle_RCPT(  # noqa: N802 (the name that the library looks for)
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.hangs:
            await asyncio.sleep(3600)
        if self.moods_rcpt:
            return self.moods_rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.moods_data:
            return self.moods_data.pop(0)
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.SMTPUTF8)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        self.receivers += envelope.rcpt_tos
        if self.on_data is not None:
            self.on_data()
        return "250 OK"


def _certificate(folder: Path) -> Path:
    """A fresh certificate for 127.0.0.1 that nobody has signed but itself; the key lies beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    path.with_suffix(".key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return path
