// What the pages gain from a script. Without it every link and every form still works.

const ON_SHOW = [];
/** Run `work(root)` for the page now, and for every part that htmx puts into it later. */
export const always = (work) => ON_SHOW.push(work);
const show = (root) => ON_SHOW.forEach((work) => work(root));
const all = (root, what) => [...(root.matches?.(what) ? [root] : []), ...root.querySelectorAll(what)];

// Copy buttons

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    toast("Copied.", "good");
  } catch {
    toast("The browser does not let us copy. Select the text instead.", "bad");
  }
});

// Toasts

const STAYS = { good: 5000, info: 5000, bad: 12000 }; // milliseconds
const ICONS = { good: "M4.5 12.5l5 5 10-11", bad: "M12 4 2.8 19.5h18.4L12 4ZM12 10v4.5M12 17h.01", info: "M12 11v5M12 8h.01" };

export function toast(text, kind = "info") {
  const made = document.createElement("p");
  made.className = `toast ${kind}`;
  made.dataset.toast = "";
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ class: "icon", width: 18, height: 18, viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "aria-hidden": "true" })) icon.setAttribute(name, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[kind] ?? ICONS.info);
  icon.append(path);
  const words = document.createElement("span");
  words.textContent = text;
  made.append(icon, words);
  document.getElementById("toasts")?.append(made);
  show(made);
}
always((root) => {
  for (const one of all(root, "[data-toast]")) {
    const kind = ["good", "bad", "info"].find((name) => one.classList.contains(name)) ?? "info";
    setTimeout(() => one.remove(), STAYS[kind]);
    one.addEventListener("click", () => one.remove());
  }
});

// Times: "5 min ago" must not stay for an hour

const UNITS = [[60, "", 1], [3600, "min", 60], [172800, "h", 3600], [Infinity, "d", 86400]]; // seconds
function ago(seconds) {
  const far = Math.abs(seconds);
  const [, unit, size] = UNITS.find(([until]) => far < until);
  if (!unit) return seconds >= 0 ? "just now" : "in a moment";
  const text = `${Math.floor(far / size)} ${unit}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}
function refreshTimes(root) {
  for (const one of all(root, "time[data-ago]")) {
    const text = ago((Date.now() - Date.parse(one.dateTime)) / 1000);
    if (one.textContent !== text) one.textContent = text;
  }
}
always(refreshTimes);
setInterval(() => refreshTimes(document), 15000);

// Times in full: in the reader's own zone, with UTC kept beside

always((root) => {
  for (const one of all(root, "time[title]")) {
    const at = new Date(one.dateTime);
    if (!Number.isNaN(at.valueOf())) one.title = `${at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" })} (${one.title.replace(/^.*\((.*)\)$/, "$1")})`;
  }
});

// The theme, at once

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-themes]");
  if (!form) return;
  event.preventDefault();
  const chosen = event.submitter?.value ?? "";
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
  for (const button of document.querySelectorAll("[data-themes] button")) button.setAttribute("aria-pressed", String(button.value === chosen));
  const body = new URLSearchParams(new FormData(form));
  body.set("theme", chosen);
  fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => {});
  document.dispatchEvent(new CustomEvent("theme"));
});

// Choices that need no button beside them

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

// The docs: a language that is chosen once is chosen wherever there is code in it; what one looks at stays where it is

document.addEventListener("change", (event) => {
  if (!event.target.matches(".langs input")) return;
  const { top } = event.target.getBoundingClientRect();
  for (const other of document.querySelectorAll(`.langs input[value="${event.target.value}"]`)) other.checked = true;
  scrollBy({ top: event.target.getBoundingClientRect().top - top, behavior: "instant" });
});

// Disclosures that close when one looks elsewhere

document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.confirm[open], details[data-closes][open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.confirm[open], details[data-closes][open]")) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// The demo's users on the sign-in page

always((root) => {
  for (const button of all(root, "[data-fill-email]")) {
    button.addEventListener("click", () => {
      document.getElementById("email").value = button.dataset.fillEmail;
      document.getElementById("password").value = button.dataset.fillPassword;
      document.querySelector("[data-test-id=sign-in-button]").focus();
    });
  }
});

// Live parts: data-live is the address of a stream; every word of it triggers `live`, on which hx-trigger waits, and
// `slow`, not so often. A tab that nobody sees has no stream: a browser has few connections for all of its tabs

const EVERY = 10000; // milliseconds between two looks where no stream is to be had
const SLOW = 3000; // between two `slow`
const LINGER = 1000; // until a hand that has let go has surely done what it was about to do
const streams = new Map();
function listen(element) {
  let source = null;
  let heard = ""; // the mark of the last word
  let missed = false; // something was new while a hand was on the page, or while something was being asked
  let late = false; // and since `slow` was told
  let looks = 0;
  let rest = 0;
  const typing = () => document.activeElement?.matches("input, select, textarea") && element.contains(document.activeElement);
  const held = () => typing() || document.querySelector("details.confirm[open], [data-holds]:checked, .htmx-request") !== null;
  const slowly = () => {
    if (rest || !late) return;
    late = false;
    window.htmx?.trigger(element, "slow");
    rest = setTimeout(() => { rest = 0; if (held()) missed = true; else slowly(); }, SLOW);
  };
  const wake = () => {
    missed = held();
    if (missed) return;
    late = true;
    window.htmx?.trigger(element, "live");
    slowly();
  };
  const letGo = () => setTimeout(() => { if (missed && source) wake(); }, LINGER);
  const open = () => {
    const address = new URL(element.dataset.live, location.href);
    if (heard) address.searchParams.set("seen", heard);
    source = new EventSource(address);
    source.addEventListener("new", (event) => { heard = event.lastEventId; wake(); });
    source.addEventListener("open", () => { clearInterval(looks); looks = 0; });
    source.addEventListener("error", () => { looks ||= setInterval(wake, EVERY); }); // closed for good (503), or between two
    if (missed) letGo();
  };
  const close = () => {
    source?.close();
    source = null;
    clearInterval(looks);
    looks = 0;
  };
  const turn = () => { if (document.visibilityState !== "visible") close(); else if (!source) open(); };
  const until = new AbortController();
  for (const one of ["focusout", "change", "toggle", "htmx:afterRequest"]) document.addEventListener(one, letGo, { capture: true, signal: until.signal });
  document.addEventListener("visibilitychange", turn, { signal: until.signal });
  turn();
  return () => { until.abort(); clearTimeout(rest); close(); };
}
function follow(root) {
  for (const [element, close] of streams) {
    if (!element.isConnected) { close(); streams.delete(element); }
  }
  for (const element of all(root, "[data-live]")) {
    if (!streams.has(element)) streams.set(element, listen(element));
  }
}
always(follow);
addEventListener("pagehide", () => { for (const close of streams.values()) close(); streams.clear(); });
addEventListener("pageshow", async (event) => { // back, to the page as it was left
  if (!event.persisted) return;
  follow(document.documentElement);
  const now = await fetch(location.href, { redirect: "manual" }).catch(() => null);
  if (now?.type === "opaqueredirect") location.reload(); // to the sign-in: nobody reads on who has signed out
});

// Boxes: one ticks all, and a button says how many are ticked. While any is, nothing is swapped under the reader's hand

const boxes = (name) => [...document.querySelectorAll(`input[type=checkbox][name="${name}"]`)];
function countBoxes(name) {
  const ticked = boxes(name).filter((one) => one.checked).length;
  for (const all of document.querySelectorAll(`[data-all="${name}"]`)) {
    all.checked = ticked > 0 && ticked === boxes(name).length;
    all.indeterminate = ticked > 0 && !all.checked;
  }
  for (const button of document.querySelectorAll(`[data-counts="${name}"]`)) {
    button.dataset.says ??= button.lastChild.textContent;
    button.lastChild.textContent = ticked ? `${button.dataset.says} (${ticked})` : button.dataset.says;
    button.classList.toggle("primary", ticked > 0);
  }
}
document.addEventListener("change", (event) => {
  const { all, holds } = event.target.dataset ?? {};
  if (all) for (const one of boxes(all)) one.checked = event.target.checked;
  if (all || holds !== undefined) countBoxes(all ?? event.target.name);
});
always((root) => {
  for (const one of all(root, "[data-all]")) countBoxes(one.dataset.all);
});

// A form that was answered may be sent again, as another one; a filter that is not given does not stand in the address

document.addEventListener("htmx:afterRequest", (event) => {
  for (const one of event.detail.elt.querySelectorAll("[data-once]")) one.value = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(18))));
});
document.addEventListener("htmx:configRequest", (event) => {
  const { verb, formData, headers, triggeringEvent } = event.detail;
  if (!triggeringEvent || ["live", "slow"].includes(triggeringEvent.type)) headers["X-Live"] = "1"; // nobody sits there: the session may end
  if (verb === "get") for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
});

// WebKit resets a form without autocompletion when Back brings its page as it was left: to what its address says, then

document.addEventListener("htmx:pushedIntoHistory", () => {
  for (const one of document.querySelectorAll("form[autocomplete=off] :is(input, option)")) {
    if (one.matches("option")) one.defaultSelected = one.selected;
    else if (!one.matches("[type=checkbox], [type=radio]")) one.defaultValue = one.value;
  }
});

// What was unfolded stays so when a part comes anew

const unfolded = new Set();
document.addEventListener("htmx:beforeSwap", (event) => {
  for (const one of event.detail.target.querySelectorAll("details[id]")) unfolded[one.open ? "add" : "delete"](one.id);
});
always((root) => {
  for (const one of all(root, "details[id]")) if (unfolded.has(one.id)) one.open = true;
});

// What htmx brings, and what it cannot bring

document.addEventListener("htmx:load", (event) => show(event.detail.elt));
document.addEventListener("htmx:responseError", (event) => toast(event.detail.xhr.responseText.slice(0, 300) || "That did not work.", "bad"));
document.addEventListener("htmx:sendError", () => toast("The dashboard cannot be reached. Try again in a moment.", "bad"));
document.addEventListener("htmx:timeout", () => toast("That took too long. Try again in a moment.", "bad"));

show(document.documentElement);
