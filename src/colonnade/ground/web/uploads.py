"""Files that are sent: an endpoint that declares one gets its bytes, whatever name and type the sender claims."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect, Request

from colonnade.ground.core.checking import escaped
from colonnade.ground.core.refusals import BadField, BadFields, FieldError, Refused
from colonnade.ground.web.bodies import is_multipart

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_DECLARED: Final = "__colonnade_upload__"
_ROUND_THE_FILE: Final = 16 * 1024
"""What boundaries and headers may take beside the file."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The one file that an operation takes, in this field of a form."""

    field: str
    most_bytes: int
    media_types: Sequence[str]
    """What it may be, for the document; what it is, the endpoint finds in the bytes."""

    @property
    def most_body_bytes(self) -> int:
        """How long the whole body may be."""
        return self.most_bytes + _ROUND_THE_FILE

    @property
    def too_large(self) -> Refused:
        """The refusal of a longer file."""
        most = self.most_bytes
        return Refused("request.too_large", f"The file may hold at most {most:,} bytes.", details={"limit": most})

    def described(self) -> dict[str, Any]:
        """The request body as the document tells it."""
        file = {"type": "string", "contentMediaType": "application/octet-stream"}
        schema = {"type": "object", "properties": {self.field: file}, "required": [self.field]}
        encoding = {self.field: {"contentType": ", ".join(self.media_types)}}
        return {"required": True, "content": {"multipart/form-data": {"schema": schema, "encoding": encoding}}}


def takes_file(upload: Upload) -> Callable[[Endpoint], Endpoint]:
    """Declare that an endpoint takes a file; it finds the bytes in its call's `body`."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _DECLARED, upload)
        return endpoint

    return declare


def upload_of(endpoint: Callable[..., Any]) -> Upload | None:
    """What file the endpoint declares, if any."""
    declared: Upload | None = getattr(endpoint, _DECLARED, None)
    return declared


async def read_file(request: Request, upload: Upload) -> bytes:
    """The bytes of the file; a body that is no form with exactly this file is refused."""
    if not is_multipart(request):
        raise BadField(f"/{upload.field}", "is required, as a file in a multipart/form-data body")
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=8)
    parser.spool_max_size = upload.most_body_bytes  # it stays in memory: the envelope bounds the whole body
    try:
        form = await parser.parse()
    except (Refused, ClientDisconnect):
        raise
    except Exception as error:  # whatever a parser trips over in bytes of strangers
        raise Refused("request.malformed", "The body cannot be read as multipart/form-data.") from error
    try:
        return await _only_file(form, upload)
    finally:
        await form.close()


async def _only_file(form: FormData, upload: Upload) -> bytes:
    sent = form.multi_items()
    unknown = dict.fromkeys(name for name, _ in sent if name != upload.field)
    if unknown:
        raise BadFields([FieldError(f"/{escaped(name)[:100]}", "is not a field of this request") for name in unknown])
    files = [value for _, value in sent if isinstance(value, UploadFile)]
    if len(sent) != 1 or not files:
        raise BadField(f"/{upload.field}", "is required, once, as a file")
    content = await files[0].read()
    if len(content) > upload.most_bytes:
        raise upload.too_large
    return content
