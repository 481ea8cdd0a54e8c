"""The PostgreSQL server that comes with Colonnade: started, found and stopped by its data folder.

An external PostgreSQL is no concern of this package, and neither is what lies inside the database.
"""

from colonnade.ground.db.embedded.folder import ROLES
from colonnade.ground.db.embedded.locating import is_locked, locate, tool_environment, tools
from colonnade.ground.db.embedded.refusals import AlreadyRunning, CannotStart
from colonnade.ground.db.embedded.server import Cluster, start

__all__ = [
    "ROLES",
    "AlreadyRunning",
    "CannotStart",
    "Cluster",
    "is_locked",
    "locate",
    "start",
    "tool_environment",
    "tools",
]
