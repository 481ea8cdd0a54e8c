"""Every reason the house gives for a refusal: the closed list behind `reason`, `type` and the error pages."""

from typing import Final, NamedTuple


class Reason(NamedTuple):
    """The kind of refusal, a title for people, what it means and what to do about it."""

    kind: str
    title: str
    meaning: str
    way_out: str


REASONS: Final[dict[str, Reason]] = {
    "request.malformed": Reason(
        "BAD_REQUEST",
        "The request cannot be read",
        "The body is not JSON that we can read, or a header that may stand once stands twice.",
        "Send one JSON object in UTF-8 with no NUL characters, lone surrogates or hundreds of nested levels.",
    ),
    "request.invalid": Reason(
        "BAD_REQUEST",
        "The request has bad fields",
        "Fields of the body, the query or the headers are missing, unknown or not acceptable.",
        "`errors` names each of them by a JSON Pointer with what is wrong; correct them all and send again.",
    ),
    "request.too_large": Reason(
        "PAYLOAD_TOO_LARGE",
        "The body is too large",
        "The body is larger than this route accepts.",
        "Send less at once; most routes take 1 MiB.",
    ),
    "request.method_not_allowed": Reason(
        "METHOD_NOT_ALLOWED",
        "This path does not take this method",
        "The path exists, but not with this HTTP method.",
        "The `Allow` header lists the methods that the path takes.",
    ),
    "request.too_many": Reason(
        "TOO_MANY_REQUESTS",
        "Too many requests",
        "The rate limit of this key, or of this address for anonymous calls, is used up for the current window.",
        "Wait as many seconds as `Retry-After` says; the `RateLimit` headers tell what is left.",
    ),
    "request.idempotency_reused": Reason(
        "UNPROCESSABLE",
        "This idempotency key was used for another request",
        "The same `Idempotency-Key` came before with another method, path or body.",
        "Use a fresh key for a new request; repeat the very same request to read its answer again.",
    ),
    "request.idempotency_running": Reason(
        "CONFLICT",
        "The first request with this idempotency key is still running",
        "A request with the same `Idempotency-Key` has not ended yet.",
        "Wait a moment and repeat the same request.",
    ),
    "request.precondition_failed": Reason(
        "PRECONDITION_FAILED",
        "The resource has changed",
        "`If-Match` names a version that is no longer the current one.",
        "Read the resource again, apply your change to what is there now, and send its new `ETag`.",
    ),
    "resource.not_found": Reason(
        "NOT_FOUND",
        "Not found",
        "There is no such route, or nothing with this id is within the reach of this key.",
        "Check the path, the id, and which workspace the key or the `X-Workspace-Id` header stands for.",
    ),
    "auth.missing": Reason(
        "UNAUTHORIZED",
        "No API key",
        "The request carries no credential.",
        "Send `Authorization: Bearer KEY` or `X-Auth: KEY`.",
    ),
    "auth.invalid": Reason(
        "UNAUTHORIZED",
        "Not a valid API key",
        "The credential is no key of this installation: unknown, mistyped (its checksum fails) or sent twice with "
        "different values.",
        "Check that the whole key was copied; make a new one if it is lost, for keys are shown only once.",
    ),
    "keys.revoked": Reason(
        "FORBIDDEN",
        "The key was revoked",
        "Somebody ended this key.",
        "Use another key, or ask the agency for a new one.",
    ),
    "keys.expired": Reason(
        "FORBIDDEN",
        "The key has expired",
        "The key's `expiresAt` has passed.",
        "Roll the key or make a new one.",
    ),
    "keys.address_refused": Reason(
        "FORBIDDEN",
        "The key may not be used from this address",
        "The source address is not on the allowlist of the key or of the agency.",
        "Call from an allowed address, or add this one to the allowlist.",
    ),
    "keys.ended": Reason(
        "UNPROCESSABLE",
        "The key to be changed has ended",
        "The key that the request wants to change or roll is revoked, or has expired.",
        "Make a new key; an expired one can be given a later `expiresAt` first.",
    ),
    "keys.scope_missing": Reason(
        "FORBIDDEN",
        "The key lacks a scope",
        "The operation needs a scope that this key does not hold; `details.scope` names it.",
        "Use a key that holds the scope, or make one.",
    ),
    "keys.wrong_kind": Reason(
        "FORBIDDEN",
        "The wrong kind of key",
        "A workspace key called an agency's operation, or a management key called a workspace's.",
        "Use an agency key for agency operations and a key that may act in the workspace for its content.",
    ),
    "keys.scope_not_held": Reason(
        "FORBIDDEN",
        "Nobody hands on a scope that they lack",
        "The new key would hold scopes or workspaces that its maker does not hold; `details` names them.",
        "Leave them out, or make the key with one that holds them.",
    ),
    "workspace.required": Reason(
        "BAD_REQUEST",
        "Which workspace?",
        "An agency key acts on workspace data, and nothing in the request names the workspace.",
        "Send `X-Workspace-Id: ws_…`.",
    ),
    "workspace.other": Reason(
        "FORBIDDEN",
        "The key belongs to another workspace",
        "`X-Workspace-Id` names another workspace than the one of this workspace key.",
        "Leave the header out, or use a key of that workspace or an agency key.",
    ),
    "workspace.archived": Reason(
        "UNPROCESSABLE",
        "The workspace is archived",
        "An archived workspace can be read, not written.",
        "Restore it first: POST /v1/workspaces/{id}/restore.",
    ),
    "workspace.duplicate_domain": Reason(
        "CONFLICT",
        "An active workspace has this domain",
        "Another active workspace of the agency has the same `primaryDomain`; `details.workspaceId` names it.",
        'Use that workspace, or send `"allowDuplicateDomain": true`.',
    ),
    "workspace.slug_taken": Reason(
        "CONFLICT",
        "The slug is taken",
        "Another workspace of the agency has this slug.",
        "Choose another, or leave it out.",
    ),
    "workspace.external_id_taken": Reason(
        "CONFLICT",
        "The external id is taken",
        "Another workspace of the agency has this `externalId`; `details.workspaceId` names it.",
        "Change that workspace by PATCH, or use another external id.",
    ),
    "settings.locked": Reason(
        "UNPROCESSABLE",
        "The agency has locked this setting",
        "The agency's `lockedSettings` lists this setting, so no workspace may set its own value.",
        "Remove the field, or take the lock off with PATCH /v1/agency/settings.",
    ),
    "settings.locks_out": Reason(
        "UNPROCESSABLE",
        "The allowlist would lock you out",
        "The new allowlist of addresses does not hold the address that this very call came from.",
        "Add your own address, shown in `details`, to the list, or call from an address that is on it.",
    ),
    "settings.byok_without_key": Reason(
        "UNPROCESSABLE",
        "There is no own key for this provider",
        "`settings.byok` switches a provider on for which neither the workspace nor the agency has stored a key.",
        "Store one first: PUT /v1/workspaces/{id}/provider-keys/{provider}.",
    ),
    "credits.exhausted": Reason(
        "INSUFFICIENT_CREDITS",
        "Not enough credits",
        "The pool that pays for this workspace has less than the operation needs; `details` has both amounts.",
        "Grant or transfer credits, then try again.",
    ),
    "credits.cap_exceeded": Reason(
        "INSUFFICIENT_CREDITS",
        "A credit cap stops this",
        "A hard cap would be passed; `details` names the cap, what it leaves and where it is set.",
        "Raise the cap, or wait for the next cycle.",
    ),
    "credits.hold_exceeded": Reason(
        "UNPROCESSABLE",
        "More was used than was held",
        "A settlement would charge more than its hold set aside; `details` has both amounts.",
        "Hold an upper bound of the work before it starts, and charge at most that.",
    ),
    "credits.reference_reused": Reason(
        "CONFLICT",
        "This reference was used for another charge",
        "The same reference was charged before with another amount, feature or workspace.",
        "Use a fresh reference for a new charge.",
    ),
    "credits.operator_grants": Reason(
        "FORBIDDEN",
        "This installation grants credits by its operator",
        "`COLONNADE_GRANTS=operator` is set: no key may grant credits.",
        "Ask the operator: `colonnade credits grant`.",
    ),
    "runs.skill_unknown": Reason(
        "BAD_REQUEST",
        "There is no such skill",
        "The skill is not one of this installation.",
        "GET /v1/agent/skills lists them.",
    ),
    "runs.finished": Reason(
        "CONFLICT",
        "The run has ended",
        "The invocation is in a final state.",
        "Start a new one if there is more to do.",
    ),
    "runs.not_waiting": Reason(
        "CONFLICT",
        "The run does not wait for this",
        "The invocation is not in a state that takes this call.",
        "Read the invocation: its status tells what it waits for.",
    ),
    "provider_keys.unreadable": Reason(
        "UNPROCESSABLE",
        "An own provider key cannot be opened",
        "The stored key was sealed under another secret of the installation, or it is damaged.",
        "Store the key again: PUT /v1/workspaces/{id}/provider-keys/{provider}, or the agency's.",
    ),
    "runs.worker_lost": Reason(
        "INTERNAL",
        "Too many workers were lost with the run",
        "Every worker that took this run died before it could end it.",
        "Start a new one; if it happens again, report the `requestId` to the operator.",
    ),
    "model.unavailable": Reason(
        "UNAVAILABLE",
        "The model does not answer",
        "The provider of the model failed or could not be reached, also after several tries.",
        "Start the run again later, or choose another `defaultModel`.",
    ),
    "model.refused_key": Reason(
        "UNPROCESSABLE",
        "The model's provider refuses the key",
        "The provider key of the workspace, the agency or the installation is not accepted.",
        "Store a valid key: PUT /v1/workspaces/{id}/provider-keys/{provider}.",
    ),
    "model.rate_limited": Reason(
        "UNAVAILABLE",
        "The model's provider limits the rate",
        "The provider kept refusing because of its own limits, also after several tries.",
        "Start the run again later, or raise the limits at the provider.",
    ),
    "model.bad_answer": Reason(
        "UNAVAILABLE",
        "The model's answer cannot be used",
        "What the model sent is no article, also after several tries.",
        "Start the run again, or choose another `defaultModel`.",
    ),
    "model.not_configured": Reason(
        "UNPROCESSABLE",
        "The wanted model is not configured",
        "`defaultModel` names a model that is unknown, or for which there is no key.",
        "Store a key for its provider, or choose another `defaultModel`.",
    ),
    "model.timeout": Reason(
        "UNAVAILABLE",
        "The model took too long",
        "The model did not answer within the installation's limit, also after several tries.",
        "Start the run again later, or choose a quicker model.",
    ),
    "publishing.misconfigured": Reason(
        "UNPROCESSABLE",
        "The workspace cannot publish",
        "The workspace's `publishing` settings are incomplete.",
        "Set `settings.publishing` of the workspace, then start the run again.",
    ),
    "publishing.receiver_refused": Reason(
        "UNPROCESSABLE",
        "The receiver refused the post",
        "The webhook that the workspace publishes by answered with a refusal.",
        "Look at the receiver's own log, then start the run again.",
    ),
    "publishing.unreachable": Reason(
        "UNAVAILABLE",
        "The receiver cannot be reached",
        "The webhook that the workspace publishes by did not answer, also after several tries.",
        "See that the receiver answers, then start the run again.",
    ),
    "publishing.folder_failed": Reason(
        "INTERNAL",
        "The folder of published posts cannot be written",
        "The installation's own folder could not take the post.",
        "Ask the operator: disk and rights of the data folder; then start the run again.",
    ),
    "approvals.decided": Reason(
        "CONFLICT",
        "The approval is decided",
        "Somebody has decided this approval, or it has expired; `details` tells how.",
        "Nothing more to do here; start the run again if another outcome is wanted.",
    ),
    "approvals.own_run": Reason(
        "FORBIDDEN",
        "Not your own run",
        "Whoever started a run may not decide its approval, unless the gate's rule allows it.",
        "Let somebody else decide, or another key.",
    ),
    "posts.published": Reason(
        "UNPROCESSABLE",
        "The post is published",
        "A published post keeps its text.",
        "Write a new post instead.",
    ),
    "posts.in_review": Reason(
        "UNPROCESSABLE",
        "The post waits for an approval",
        "Only the version that was shown to the approver may be published, so it cannot be changed meanwhile.",
        "Decide the approval (with edits, if you like), then change the post.",
    ),
    "posts.wrong_state": Reason(
        "CONFLICT",
        "The post's state does not allow this",
        "Posts move between their states by fixed steps, and none leads there; `details.status` tells where it stands.",
        "Read the post again and go on from where it stands.",
    ),
    "posts.slug_taken": Reason(
        "CONFLICT",
        "The slug is taken",
        "Another post of the workspace has this slug.",
        "Choose another, or send `null` to have one made from the title if that one is free.",
    ),
    "publishing.url_refused": Reason(
        "BAD_REQUEST",
        "This address is not called",
        "The URL is not one that this installation sends requests to: not http(s), or a private or reserved address.",
        "Use a public address; an operator may open others with `COLONNADE_OUTBOUND_ALLOW`.",
    ),
    "bulk.action_unknown": Reason(
        "BAD_REQUEST",
        "There is no such bulk action",
        "`action` is not one of this installation.",
        "Use `agent.invoke` or `workspace.update`.",
    ),
    "bulk.finished": Reason(
        "CONFLICT", "The bulk action has ended", "Every item of it is in a final state.", "Start a new one."
    ),
    "internal.error": Reason(
        "INTERNAL",
        "A mistake of ours",
        "Something went wrong that should not; nothing of the request was kept.",
        "Try again; if it persists, report the `requestId`.",
    ),
    "service.unavailable": Reason(
        "UNAVAILABLE",
        "Not available right now",
        "The database or another part of the installation does not answer, or a queue is full.",
        "Try again after `Retry-After` seconds; nothing of the request was kept.",
    ),
}
