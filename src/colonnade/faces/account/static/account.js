// Forms over the API's own calls. The session lives in a cookie that no script can read; its token is asked for.

const one = (selector) => document.querySelector(selector);
const show = (element, on = true) => { if (element) element.hidden = !on; };
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) history.replaceState(null, "", location.pathname); // so that it does not stay in the address bar

let csrf = "";

async function call(method, path, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
  const answer = await fetch(`/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  const said = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw said;
  if (said.csrfToken) csrf = said.csrfToken;
  return said;
}

function tell(text, selector = "[data-alert]") {
  const place = one(selector);
  place.textContent = text;
  show(place, Boolean(text));
  if (text) place.scrollIntoView({ block: "nearest" });
}

function complain(form, problem, names = {}) {
  const rest = [];
  for (const { pointer, detail } of problem.errors ?? []) {
    const field = pointer.slice(1);
    const input = form.elements[names[field] ?? field];
    if (!input) { rest.push(`${field}: ${detail}`); continue; }
    input.setAttribute("aria-invalid", "true");
    one(`#${input.id}-error`).textContent = detail;
    input.focus();
  }
  const bad = (problem.errors ?? []).length > 0;
  tell(bad ? rest.join("; ") : problem.detail ?? "The server cannot be reached. Try again in a moment.");
}

function calm(form) {
  tell("");
  tell("", "[data-done]");
  for (const input of form.querySelectorAll("input")) {
    input.removeAttribute("aria-invalid");
    one(`#${input.id}-error`).textContent = "";
  }
}

function on(name, work, names) {
  const form = one(`[data-form="${name}"]`);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    calm(form);
    const sent = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    const buttons = form.querySelectorAll("button");
    buttons.forEach((button) => { button.disabled = true; });
    try {
      await work(sent, event.submitter?.value, form);
    } catch (problem) {
      if (problem.reason === "auth.code_needed") askForCode(form);
      else complain(form, problem, names);
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  });
  return form;
}

function askForCode(form) {
  const field = form.querySelector('[data-field="code"]');
  show(field);
  field.querySelector("input").focus();
}

const factor = (text) => (/^\d{6}$/.test(text.replace(/\s/g, "")) ? { code: text.replace(/\s/g, "") } : { recoveryCode: text.trim() });
const proven = ({ code, ...rest }) => (code ? { ...rest, ...factor(code) } : rest);
const enter = () => { location.href = "/account"; };

on("sign-in", async (sent) => { await call("POST", "/auth/login", proven(sent)); enter(); });

if (on("accept-invitation", async (sent) => {
  await call("POST", "/auth/accept-invitation", { token, ...proven(sent) });
  enter();
}) && !token) tell("This page is opened by the link of an invitation. Open the link in your mail once more.");

on("ask-for-link", async (sent) => {
  await call("POST", "/auth/password-reset", sent);
  tell("If somebody has this address, a mail is on its way.", "[data-done]");
});
on("choose-password", async (sent, _, form) => {
  await call("POST", "/auth/password-reset/confirm", { token, ...sent });
  show(form, false);
  tell("Your new password counts. Sign in with it.", "[data-done]");
});
show(one(`[data-form="${token ? "choose-password" : "ask-for-link"}"]`));

function row(text, label, work) {
  const line = document.createElement("li");
  const words = line.appendChild(document.createElement("span"));
  words.textContent = text;
  if (label) {
    const button = line.appendChild(document.createElement("button"));
    button.className = "button plain";
    button.textContent = label;
    button.addEventListener("click", () => work().catch((problem) => tell(problem.detail)));
  }
  return line;
}

async function showSessions() {
  const { data } = await call("GET", "/me/sessions");
  one("[data-session-rows]").replaceChildren(...data.map((session) => {
    const since = new Date(session.updatedAt).toLocaleString();
    const text = `${session.userAgent || "Unknown browser"}, from ${session.address ?? "an unknown address"}, last used ${since}`;
    if (session.isCurrent) return row(`${text} (this one)`);
    return row(text, "End", async () => { await call("DELETE", `/me/sessions/${session.id}`); await showSessions(); });
  }));
}

async function showFactor(wanted) {
  const { enrolled, recoveryCodesLeft } = await call("GET", "/me/totp");
  one("[data-factor]").textContent = enrolled
    ? `You sign in with an authenticator. ${recoveryCodesLeft} recovery codes are left.`
    : "A code of an authenticator app keeps others out who learn your password.";
  show(one("[data-wants-factor]"), wanted === "required");
  show(one('[data-form="start-factor"]'), !enrolled);
  show(one('[data-form="confirm-factor"]'), false);
  show(one('[data-form="new-codes"]'), enrolled);
}

function showCodes(codes) {
  one("[data-code-rows]").replaceChildren(...codes.map((text) => row(text)));
  show(one("[data-codes]"));
}

on("start-factor", async () => {
  const made = await call("POST", "/me/totp", {});
  one("[data-picture]").src = made.qrCode;
  one("[data-secret]").textContent = made.secret;
  show(one('[data-form="start-factor"]'), false);
  show(one('[data-form="confirm-factor"]'));
  one("#confirm").focus();
});
on("confirm-factor", async (sent) => {
  const made = await call("POST", "/me/totp/confirm", { code: sent.confirm ?? "" });
  await showFactor(made.twoFactor);
  showCodes(made.recoveryCodes);
}, { code: "confirm" });
on("new-codes", async (sent, wish, form) => {
  const removing = wish === "remove";
  const made = removing
    ? await call("DELETE", "/me/totp", factor(sent.shown ?? ""))
    : await call("POST", "/me/totp/recovery-codes", factor(sent.shown ?? ""));
  form.reset();
  show(one("[data-codes]"), false);
  await showFactor(made.twoFactor);
  if (!removing) showCodes(made.recoveryCodes);
}, { code: "shown", recoveryCode: "shown" });
on("change-password", async (sent, _, form) => {
  await call("POST", "/me/password", sent);
  form.reset();
  tell("Your new password counts; all other sessions have ended.", "[data-done]");
  await showSessions();
});
on("end-others", async () => { await call("DELETE", "/me/sessions"); await showSessions(); });
on("sign-out", async () => { await call("POST", "/auth/logout", {}); location.href = "/sign-in"; });

async function showAccount() {
  let me;
  try {
    me = await call("GET", "/me");
  } catch (problem) {
    if (problem.status === 401) location.href = "/sign-in";
    else tell(problem.detail);
    return;
  }
  const { member, agency, agencies } = me;
  one("[data-who]").textContent = `${member.name ?? member.email}, ${member.role} of ${agency.name} (${member.email})`;
  const others = agencies.filter((other) => other.id !== agency.id);
  show(one("[data-agencies]"), others.length > 0);
  one("[data-agency-rows]").replaceChildren(...others.map((other) => row(`${other.name}, as ${other.role}`, "Go there", async () => {
    await call("POST", "/auth/switch", { agencyId: other.id });
    location.reload();
  })));
  await Promise.all([showFactor(me.twoFactor), showSessions()]);
  show(one("[data-account]"));
}

if (one("[data-account]")) showAccount();
