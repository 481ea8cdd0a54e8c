"""Every setting once, with its meaning. Read by the processes alone and handed on as small option values."""

import json
import os
import secrets
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from colonnade.credits import FEWEST_MONTHS
from colonnade.ground.core.envelope import MasterKeys
from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db import external
from colonnade.ground.outgoing import AllowList
from colonnade.outbound.mail import SmtpServer, sender_address

PREFIX: Final = "COLONNADE_"
_SHORTEST: Final = 32


class Settings(BaseSettings):
    """What an installation can be told, by environment variables that begin with `COLONNADE_`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,  # a bad URL may hold a good password
    )

    data_dir: Path = Field(
        Path("data"), description="The folder that holds everything: database, keys, published posts."
    )
    database_url: SecretStr | None = Field(
        None, description="The owner's URL of an external PostgreSQL 15 or newer, instead of the embedded one."
    )
    database_direct_url: SecretStr | None = Field(
        None, description="The same without a connection pooler in between, for migrations and for listening."
    )
    database_pooled: bool = Field(
        False, description="Set where a pooler in transaction mode stands in front: no prepared statements are kept."
    )
    database_user: str | None = Field(
        None, description="The account that the embedded PostgreSQL runs as when Colonnade is started by root."
    )
    database_connections: int = Field(10, ge=2, le=200, description="The most connections of one process.")
    host: str = Field("127.0.0.1", description="The address to serve on.")
    port: int = Field(8080, ge=0, le=65535, description="The port to serve on; 0 takes a free one.")
    servers: int = Field(1, ge=1, le=64, description="How many HTTP processes `up` starts.")
    workers: int = Field(1, ge=0, le=64, description="How many background processes `up` starts.")
    public_url: str | None = Field(None, description="The address that people and programs reach this installation by.")
    secret_key: SecretStr | None = Field(
        None,
        min_length=_SHORTEST,
        description="At least 32 characters from which all keyed digests and envelopes are derived; made and kept in "
        "the data folder when absent. Without it no key can be verified and no stored secret be read.",
    )
    secret_keys_old: SecretStr | None = Field(
        None,
        description="Secrets that were in use before, the latest first, separated by commas. What was signed, sealed "
        "and digested under them stays good; nothing new is made with them.",
    )
    outbound_allow: str = Field(
        "",
        description="Private addresses that outgoing requests may reach nevertheless: `CIDR:port`, separated by "
        "commas, as in `127.0.0.1/32:9000,10.0.0.0/8:*`.",
    )
    leak_keys_url: str | None = Field(
        None,
        description="Where a partner who scans for leaked keys publishes the keys that its reports are signed with, in "
        "GitHub's form: `https://api.github.com/meta/public_keys/secret_scanning`.",
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="How many proxies in front are yours, whose `X-Forwarded-For` is believed."
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="The server that sends mail: `smtp://user:password@host:587` (STARTTLS is required; "
        "`?starttls=never` for one on the same machine) or `smtps://…`; `ca=FILE` names own certificates. "
        "Without it mails lie in the data folder.",
    )
    mail_from: str | None = Field(
        None,
        validate_default=True,
        description="The address that mails come from, as in `no-reply@agency.example`; wanted with a server.",
    )
    grants: Literal["agency", "operator"] = Field(
        "agency", description="Who grants credits: agencies by API, or the operator by command alone."
    )
    default_model: str | None = Field(
        None, description="The model for workspaces that name none: `anthropic:…`, `openai:…`, `local`, `scripted`."
    )
    anthropic_api_key: SecretStr | None = Field(None, description="The installation's key for Anthropic's models.")
    openai_api_key: SecretStr | None = Field(None, description="The installation's key for OpenAI's models.")
    anthropic_base_url: str | None = Field(None, description="Another address that speaks Anthropic's protocol.")
    openai_base_url: str | None = Field(None, description="Another address that speaks OpenAI's protocol.")
    local_model_path: Path | None = Field(None, description="A GGUF file for the model named `local`.")
    model_timeout_seconds: float = Field(120, gt=0, le=3600, description="How long one answer of a model may take.")
    lease_seconds: int = Field(
        45, ge=3, le=3600, description="After how long the runs of a killed worker are taken over."
    )
    slots_interactive: int = Field(
        8, ge=1, le=256, description="Runs of single calls that a worker carries out at once."
    )
    slots_bulk: int = Field(8, ge=1, le=256, description="Runs of bulk actions that a worker carries out at once.")
    runs_per_agency: int = Field(16, ge=1, le=10_000, description="Runs of one agency that may be active at once.")
    runs_per_workspace: int = Field(4, ge=1, le=10_000, description="Runs of one workspace that may be active at once.")
    approval_timeout_days: float = Field(7, gt=0, le=365, description="After how long an undecided approval expires.")
    request_log_days: int = Field(90, ge=1, le=3650, description="How long the request log is kept.")
    usage_months: int = Field(
        25,
        ge=FEWEST_MONTHS,
        le=1200,
        description="For how many whole months events of usage are kept; sums by day and the ledger stay for ever.",
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="How log lines look; `auto` is `console` on a terminal and `json` elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )

    @field_validator("secret_keys_old")
    @classmethod
    def _long_enough(cls, old: SecretStr | None) -> SecretStr | None:
        if old is not None and any(len(one) < _SHORTEST for one in _parted(old)):
            raise ValueError(f"must hold secrets of at least {_SHORTEST} characters each, separated by commas")
        return old

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _understood(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            external.read_url(url.get_secret_value(), {})
        return url

    @field_validator("smtp_url")
    @classmethod
    def _a_mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            SmtpServer.parse(url.get_secret_value())
        return url

    @field_validator("mail_from")
    @classmethod
    def _a_sender(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None and info.data.get("smtp_url") is not None:
            raise ValueError("is wanted beside COLONNADE_SMTP_URL: the address that mails come from")
        return None if text is None else sender_address(text)

    @field_validator("outbound_allow")
    @classmethod
    def _readable(cls, text: str) -> str:
        AllowList.parse(text)
        return text

    @property
    def data(self) -> Path:
        """The data folder, absolute."""
        return self.data_dir.expanduser().absolute()

    @property
    def published(self) -> Path:
        """Where the `folder` publisher writes."""
        return self.data / "published"

    @property
    def mails(self) -> Path:
        """Where mails lie that no server takes."""
        return self.data / "mail"

    @property
    def address(self) -> str:
        """By which people reach this installation, as far as it knows."""
        return self.public_url or reached_at(self.host, self.port)

    @property
    def secret_file(self) -> Path:
        """Where the secret is kept that no setting gives."""
        return self.data / "secret.key"

    @property
    def former_secrets_file(self) -> Path:
        """Where the secrets are kept that were in the file above before: a JSON list, the latest first."""
        return self.data / "former-secrets.json"

    @property
    def half_restored(self) -> Path:
        """Where a restore builds everything before it takes its place; left behind only by a restore cut off."""
        return self.data / "restoring"


def secret_of(settings: Settings) -> bytes:
    """The installation's secret: the setting, or the one in the data folder, which is made at the first use."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    path = settings.secret_file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_once(path, secrets.token_urlsafe(48))
    return path.read_bytes().strip()


def reached_at(host: str, port: int) -> str:
    """How this machine reaches what is bound to this host."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (told, not bound)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


def _parted(texts: SecretStr) -> list[str]:
    return [text.strip() for text in texts.get_secret_value().split(",")]


def secrets_of(settings: Settings) -> list[bytes]:
    """The installation's secret, and behind it those that were in use before, the latest first."""
    former = [] if settings.secret_keys_old is None else _parted(settings.secret_keys_old)
    if settings.former_secrets_file.exists():
        former += json.loads(settings.former_secrets_file.read_text("utf-8"))
    return list(dict.fromkeys([secret_of(settings), *(text.encode() for text in former)]))


def rotate_secret(settings: Settings) -> None:
    """Put a new secret into the data folder; the one that was there stays good for what was made with it.

    The old one is kept first: whenever this is cut off, every secret that was ever in use is still there.
    """
    old = secret_of(settings).decode()
    former = settings.former_secrets_file
    known: list[str] = json.loads(former.read_text("utf-8")) if former.exists() else []
    _replace(former, json.dumps([old, *(one for one in known if one != old)]))
    _replace(settings.secret_file, secrets.token_urlsafe(48))


def _replace(path: Path, text: str) -> None:
    temporary = _written_beside(path, text)
    if os.geteuid() == 0 and path.parent.exists():
        status = path.parent.stat()
        os.chown(temporary, status.st_uid, status.st_gid)
    temporary.replace(path)


def write_once(path: Path, text: str) -> None:
    """Whole or not at all, also when two processes begin at once: the first one's text stays."""
    temporary = _written_beside(path, text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _written_beside(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"colonnade {purpose}".encode()).derive(secret)


def _number(secret: bytes) -> int:
    """By which what is signed tells its key. Made of the secret itself, so that another one never has the same."""
    return 2 + int.from_bytes(_derive(secret, "key number")[:4]) % (2**31 - 2)


def pepper_of(settings: Settings) -> Pepper:
    """The keys of all keyed digests, the current one and those of before."""
    known = secrets_of(settings)
    keys = {_number(secret): _derive(secret, "pepper 1") for secret in known}
    # Before keys had numbers of their own, all of them were number 1, and there was only the first secret.
    return Pepper({**keys, 1: _derive(known[-1], "pepper 1")}, current=_number(known[0]))


def masters_of(settings: Settings) -> MasterKeys:
    """The keys that wrap the data keys of stored secrets, the first one ever in use as number 1."""
    keys = [_derive(secret, "envelope 1") for secret in reversed(secrets_of(settings))]
    return MasterKeys(dict(enumerate(keys, start=1)), len(keys))


def report_key_of(settings: Settings) -> bytes:
    """The key that signs reports which are handed to others; its public half is served."""
    return _derive(secret_of(settings), "reports 1")


def role_passwords_of(settings: Settings, role: str) -> list[str]:
    """The password of a role of an external database, and behind it those that it had under former secrets."""
    return [_derive(secret, f"database role {role}").hex() for secret in secrets_of(settings)]


def fingerprints_of(settings: Settings) -> list[str]:
    """By which a backup tells whether its secret is a known one, the current one first; they tell no secret."""
    return [_derive(secret, "fingerprint").hex()[:32] for secret in secrets_of(settings)]
