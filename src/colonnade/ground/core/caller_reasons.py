"""The part of the closed list of reasons that is about who calls: credentials, people who sign in, members."""

from typing import Final

from colonnade.ground.core.reason import Reason

ABOUT_CALLERS: Final[dict[str, Reason]] = {
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
    "invitations.too_many_mails": Reason(
        "TOO_MANY_REQUESTS",
        "Too many mails to one address",
        "At most ten mails about invitations go from one agency to one address within a day.",
        "Wait until tomorrow, or find out why the mails do not arrive.",
    ),
    "invitations.other_person": Reason(
        "FORBIDDEN",
        "The invitation is for somebody else",
        "An invitation is accepted by the person with the e-mail address that it was sent to.",
        "Sign out, and accept it as the person who was invited.",
    ),
}
