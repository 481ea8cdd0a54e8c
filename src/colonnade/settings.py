"""Every setting once, with its meaning. Read by the processes alone and handed on as small option values."""

import os
import secrets
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db import external
from colonnade.ground.outgoing import AllowList

PREFIX: Final = "COLONNADE_"


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
        min_length=32,
        description="At least 32 characters from which all keyed digests and envelopes are derived; made and kept in "
        "the data folder when absent. Without it no key can be verified and no stored secret be read.",
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
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="How log lines look; `auto` is `console` on a terminal and `json` elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _understood(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            external.read_url(url.get_secret_value(), {})
        return url

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
    def secret_file(self) -> Path:
        """Where the secret is kept that no setting gives."""
        return self.data / "secret.key"

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


def write_once(path: Path, text: str) -> None:
    """Whole or not at all, also when two processes begin at once: the first one's text stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"colonnade {purpose}".encode()).derive(secret)


def pepper_of(settings: Settings) -> Pepper:
    """The keys of all keyed digests."""
    return Pepper({1: _derive(secret_of(settings), "pepper 1")}, current=1)


def master_key_of(settings: Settings) -> bytes:
    """The key that wraps the data keys of stored secrets."""
    return _derive(secret_of(settings), "envelope 1")


def role_password_of(settings: Settings, role: str) -> str:
    """The password of a role of an external database."""
    return _derive(secret_of(settings), f"database role {role}").hex()


def fingerprint_of(settings: Settings) -> str:
    """By which a backup tells whether the secret is the one that it was made with; it does not tell the secret."""
    return _derive(secret_of(settings), "fingerprint").hex()[:32]
