"""Why a database did not start, in sentences that may be shown to whoever asked for it."""


class CannotStart(Exception):
    """The database did not start; the one public sentence says what happened and the way out."""


class AlreadyRunning(CannotStart):
    """Another process holds the data folder."""
