"""Public pages: the welcome page, the API's documentation, and a page for every reason of a refusal."""

from colonnade.faces.docs.pages import PAGE_HEADERS, DocsOptions, mount

__all__ = ["PAGE_HEADERS", "DocsOptions", "mount"]
