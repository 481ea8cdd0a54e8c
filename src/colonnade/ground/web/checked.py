"""Bodies whose fields are checked by a slice's own rules, so that shape and meaning are refused together."""

from typing import Any, ClassVar

from pydantic import ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from colonnade.ground.core.checking import Rule, patch_schema
from colonnade.ground.web.shapes import Body


class CheckedBody(Body):
    """Takes any object; the rule, which the slice applies, tells the document what fields there are."""

    model_config = ConfigDict(extra="allow")

    rule: ClassVar[Rule]
    is_patch: ClassVar[bool] = False

    def sent_json(self) -> dict[str, Any]:
        """Exactly what was sent."""
        return dict(self.model_extra or {})

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The rule's schema under this body's name and description."""
        own = handler.resolve_ref_schema(handler(core_schema))
        told: dict[str, Any] = {name: own[name] for name in ("title", "description", "examples") if name in own}
        schema = patch_schema(cls.rule.schema) if cls.is_patch else dict(cls.rule.schema)
        own.clear()
        own.update({**told, **schema})
        return own
