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
    "auth.session_ended": Reason(
        "UNAUTHORIZED",
        "The session is over",
        "The cookie belongs to no session: it was ended, expired, or replaced by another one.",
        "Sign in again: POST /v1/auth/login.",
    ),
    "auth.wrong_credentials": Reason(
        "UNAUTHORIZED",
        "E-mail address and password do not fit",
        "Nobody with this address has this password, or has chosen one at all.",
        "Try again, or choose a new password: POST /v1/auth/password-reset.",
    ),
    "auth.code_needed": Reason(
        "UNAUTHORIZED",
        "A second factor is needed",
        "The password is right, and this person signs in with a code besides.",
        "Send the same again with `code` from the authenticator, or with one `recoveryCode`.",
    ),
    "auth.code_refused": Reason(
        "UNAUTHORIZED",
        "The code is not accepted",
        "The code is wrong, too old, or was used before; each counts once.",
        "Wait for the next code of the authenticator, or use a recovery code.",
    ),
    "auth.too_many_attempts": Reason(
        "TOO_MANY_REQUESTS",
        "Too many attempts",
        "Passwords and codes may be tried 6 times in a minute and 12 times in an hour, then once in 15 minutes.",
        "Wait as many seconds as `Retry-After` says.",
    ),
    "auth.csrf": Reason(
        "FORBIDDEN",
        "The session's token is missing",
        "A write with a session lacks the header `X-CSRF-Token` or brings another one, or another site sends it.",
        "Send the `csrfToken` that signing in and GET /v1/me tell.",
    ),
    "auth.two_factor_required": Reason(
        "FORBIDDEN",
        "The agency asks for a second factor",
        "The agency's setting `requireTwoFactor` is on, and this session was begun without a second factor.",
        "Set one up: POST /v1/me/totp, then POST /v1/me/totp/confirm.",
    ),
    "auth.two_factor_enrolled": Reason(
        "CONFLICT",
        "A second factor is set up already",
        "A new one would silently replace the one that is in use.",
        "Take the old one away first: DELETE /v1/me/totp.",
    ),
    "auth.two_factor_absent": Reason(
        "CONFLICT",
        "No second factor is set up",
        "There is nothing to confirm, to take away or to make recovery codes for.",
        "Begin with POST /v1/me/totp.",
    ),
    "auth.no_agency": Reason(
        "FORBIDDEN",
        "Not a member of any agency",
        "The person is known, and belongs to no agency (or not to the one that the request names).",
        "Ask somebody of the agency for an invitation.",
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
    "members.already": Reason(
        "CONFLICT",
        "Already a member",
        "The person with this e-mail address is a member of the agency; `details.memberId` names them.",
        "Change the member instead: PATCH /v1/members/{id}.",
    ),
    "members.invited": Reason(
        "CONFLICT",
        "Already invited",
        "An invitation to this e-mail address is open, or was a moment ago; `details.invitationId` names it.",
        "Send it again with POST /v1/members/{id}/resend, or withdraw it with DELETE /v1/members/{id}.",
    ),
    "members.last_owner": Reason(
        "UNPROCESSABLE",
        "The last owner stays",
        "An agency has an owner at all times; the only one can neither leave, nor be removed, nor get a lesser role.",
        "Make somebody else an owner first, or hand the agency over: POST /v1/agency/transfer.",
    ),
    "members.owners_only": Reason(
        "FORBIDDEN",
        "Only an owner may do this",
        "Owners are made and unmade by owners alone, signed in; no key and no other role can do it.",
        "Ask an owner, or the operator of the installation.",
    ),
    "members.too_many_invitations": Reason(
        "UNPROCESSABLE",
        "Too many open invitations",
        "An agency has at most 1,000 open invitations.",
        "Withdraw those that nobody will accept.",
    ),
    "invitations.ended": Reason(
        "UNPROCESSABLE",
        "The invitation is no longer good",
        "It was used, withdrawn, sent anew with another link, or has expired; or who invited may no longer invite.",
        "Ask the agency for a new invitation.",
    ),
    "invitations.other_person": Reason(
        "FORBIDDEN",
        "The invitation is for somebody else",
        "An invitation is accepted by the person with the e-mail address that it was sent to.",
        "Sign out, and accept it as the person who was invited.",
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
    "workspace.not_archived": Reason(
        "UNPROCESSABLE",
        "The workspace is active",
        "Only an archived workspace can be purged.",
        "Archive it first: DELETE /v1/workspaces/{id}.",
    ),
    "workspace.purge_too_early": Reason(
        "UNPROCESSABLE",
        "The workspace was archived only lately",
        "In the first 30 days after archiving, a purge wants the workspace's name repeated; `details.ripeAt` tells the end.",
        'Send `{"confirm": "NAME"}`, or wait.',
    ),
    "workspace.at_work": Reason(
        "UNPROCESSABLE",
        "Runs are at work in the workspace",
        "A workspace is not purged under the hands of a running invocation; `details.invocationIds` names them.",
        "Cancel them or wait for their end, then ask again.",
    ),
    "workspace.purging": Reason(
        "UNPROCESSABLE",
        "The workspace is being erased",
        "Somebody asked to purge the workspace; nothing brings it back.",
        "Make a new workspace.",
    ),
    "templates.name_taken": Reason(
        "CONFLICT",
        "The name is taken",
        "Another template of the agency has this name; `details.templateId` names it.",
        "Choose another name, or change that template.",
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
        "Use `agent.invoke`, `workspace.update` or `template.deploy`.",
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
