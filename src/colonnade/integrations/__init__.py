"""Own provider keys: an agency's or a workspace's credentials at third parties, stored sealed and never read back.

Not here: whether a workspace uses them (`settings.byok`), and the calls to the providers.
"""

from colonnade.ground.core.envelope import CannotOpen, MasterKeys, OtherMasterKey, Tampered
from colonnade.integrations.health import PUBLISHING, health_block, note_use, target_of
from colonnade.integrations.model import PROVIDERS, OwnKeys, ProviderKey
from colonnade.integrations.service import (
    every,
    get,
    integrations_block,
    keys_for,
    put,
    remove,
    stored_keys,
    stored_providers,
)

__all__ = [
    "PROVIDERS",
    "PUBLISHING",
    "CannotOpen",
    "MasterKeys",
    "OtherMasterKey",
    "OwnKeys",
    "ProviderKey",
    "Tampered",
    "every",
    "get",
    "health_block",
    "integrations_block",
    "keys_for",
    "note_use",
    "put",
    "remove",
    "stored_keys",
    "stored_providers",
    "target_of",
]
