"""Pure rules about the URLs that may be called, before anything is looked up."""

import re

import httpx2

from colonnade.ground.outgoing.addresses import read_literal
from colonnade.ground.outgoing.model import OutgoingRefused

URL_CHARACTERS_MAX = 2048

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}\.?$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.ASCII | re.IGNORECASE)


def read_url(text: str) -> httpx2.URL:
    """The URL, if it is one we would call: http or https, a plain host, no credentials. Else refused as `bad_url`."""
    if len(text) > URL_CHARACTERS_MAX:
        raise _bad(f"The URL is longer than {URL_CHARACTERS_MAX} characters.")
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        raise _bad("The URL cannot be read.") from None
    require_callable(url)
    return url


def require_callable(url: httpx2.URL) -> None:
    """Refuses as `bad_url` what `read_url` refuses, for a URL that somebody else has read."""
    if url.scheme not in _DEFAULT_PORTS:
        raise _bad("The URL must begin with https:// or http://.")
    if url.userinfo:
        raise _bad("The URL must not hold a user name or a password.")
    if not 1 <= port_of(url) <= 65535:
        raise _bad("The URL's port is outside 1 to 65535.")
    host = url.raw_host.decode("ascii")
    try:
        is_name = read_literal(host) is None
    except ValueError:
        raise _bad("The URL's host is not an address that can be read.") from None
    if is_name and not _NAME.fullmatch(host):
        raise _bad("The URL needs a host name, such as hooks.example.com.")


def port_of(url: httpx2.URL) -> int:
    return _DEFAULT_PORTS[url.scheme] if url.port is None else url.port


def _bad(sentence: str) -> OutgoingRefused:
    return OutgoingRefused("bad_url", sentence)
