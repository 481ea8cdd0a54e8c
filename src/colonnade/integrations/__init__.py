"""Own provider keys: an agency's or a workspace's credentials at third parties, stored sealed and never read back.

Not here: whether a workspace uses them (`settings.byok`), and the calls to the providers.
"""

from colonnade.ground.core.envelope import CannotOpen, MasterKeys, OtherMasterKey, Tampered
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
    "CannotOpen",
    "MasterKeys",
    "OtherMasterKey",
    "OwnKeys",
    "ProviderKey",
    "Tampered",
    "every",
    "get",
    "integrations_block",
    "keys_for",
    "put",
    "remove",
    "stored_keys",
    "stored_providers",
]
