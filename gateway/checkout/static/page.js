// The page's own course: pay once, follow it, tell the page around. The order's state is the server's word alone.

import { Calls, Refused } from "./calls.js";
import { Fields } from "./fields.js";
import { Parent } from "./parent.js";
import { follow } from "./progress.js";
import { States } from "./states.js";

const $ = (id) => document.getElementById(id);
const boot = JSON.parse($("boot").textContent);
const texts = boot.texts;
const calls = new Calls(boot.view.session);
const states = new States(texts);
const fields = new Fields(texts);
const parent = new Parent(boot.framing, dress);

const RETRIES = [1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000]; // milliseconds between tries to send one attempt
const PATIENCE = 4000; // milliseconds after which a button that spins is not enough of an answer
const UNDRESSED = 200; // milliseconds for the shop to say what it is called
// Of this merchant's order: another's may be called the same.
const memory = `ledgate-checkout:${new URLSearchParams(location.search).get("key")}:${boot.order_id}`;

let attempt = 1;
let busy = false;
let unfollow = () => {};
let told = "";
let renewal = 0;

/** What a reload must know: the session, whose payments are nobody else's. Gone once the shopper has seen the end. */
const remember = () => keep((store) => store.setItem(memory, JSON.stringify({ token: calls.token, attempt })));
const forget = () => keep((store) => store.removeItem(memory));
const recall = () => keep((store) => JSON.parse(store.getItem(memory)));

function keep(use) {
  try {
    return use(sessionStorage);
  } catch {
    return null; // a frame may have none
  }
}

function show(view) {
  clearTimeout(renewal);
  renewal = setTimeout(renew, view.renew_in * 1000);
  unfollow();
  unfollow = () => {};
  if (view.state === "processing") {
    remember();
    states.show(view);
    unfollow = follow(calls, settle, (away) => states.setAway(away));
    return;
  }
  settle(view);
}

/** What the stream says; the same view again changes nothing. */
function settle(view) {
  if (view.state === "processing") {
    remember();
    states.show(view);
    return;
  }
  unfollow();
  states.show(view);
  forget();
  const { payment } = view;
  if (view.state === "success") {
    fields.clear();
    $("done").hidden = !parent.framed;
    $("leave").hidden = parent.framed;
  }
  if (view.state === "failed") {
    attempt++;
    $("cancel").hidden = !parent.framed;
  }
  if (!payment || told === payment.id + payment.status) return;
  told = payment.id + payment.status;
  if (view.state === "success") parent.succeeded(payment, boot.order_id);
  if (view.state === "failed") parent.failed(payment);
}

function renew() {
  calls.renew().then(
    (view) => {
      renewal = setTimeout(renew, view.renew_in * 1000);
      if (states.now === "ready" && view.state !== "failed" && view.state !== "ready") show(view);
    },
    (error) => {
      if (!(error instanceof Refused)) renewal = setTimeout(renew, 30_000);
    },
  );
}

async function pay() {
  if (busy) return;
  say("");
  const request = fields.request();
  if (!request) return;
  setBusy(true);
  remember(); // before it leaves: whoever reloads now asks as the same session
  try {
    show(await send(request));
  } catch (error) {
    if (!(error instanceof Refused)) {
      states.showFailure(texts.unreachable); // what became of it nobody knows: the next try is the same attempt
    } else {
      if (error.status !== 429) forget(); // else it may have arrived before
      states.turn("ready");
      if (!fields.blame(error)) say(error.status === 429 ? texts.too_many : error.status === 403 ? texts.expired : texts.refused);
    }
  } finally {
    setBusy(false);
  }
}

/** Send one attempt until it is answered, for a minute at most. It stays one payment, however often it arrives. */
async function send(request) {
  const wait = () => {
    states.show({ state: "processing" });
    states.setAway(true);
  };
  const patience = setTimeout(wait, PATIENCE);
  try {
    for (let n = 0; ; n++) {
      try {
        return await calls.pay(request, attempt);
      } catch (error) {
        if (error instanceof Refused || n === RETRIES.length) throw error;
        if (n === 1) wait();
        await pause(RETRIES[n]);
      }
    }
  } finally {
    clearTimeout(patience);
  }
}

function pause(ms) {
  return new Promise((done) => {
    setTimeout(done, ms);
    addEventListener("online", done, { once: true });
  });
}

function setBusy(now) {
  busy = now;
  $("form").setAttribute("aria-busy", String(now));
  $("pay").setAttribute("aria-disabled", String(now)); // not `disabled`: it keeps the focus
}

/** What kept a payment from being started; a page that is too old can be loaded again on the spot. */
function say(text) {
  $("form-error").hidden = !text;
  $("form-error-text").textContent = text;
  $("again").hidden = text !== texts.expired;
}

const dressed = () => delete document.documentElement.dataset.undressed;

/** What the SDK was told to show. The amount is not among it: the order has one. */
function dress(options) {
  dressed();
  const text = (value, most) => (typeof value === "string" ? value.slice(0, most) : "");
  const name = text(options.name, 100);
  if (name) {
    $("merchant").hidden = name === $("merchant").textContent;
    $("name").textContent = name;
    $("initial").textContent = [...name][0].toUpperCase();
  }
  $("description").textContent = text(options.description, 255);
  $("description").hidden = !options.description;
  const image = text(options.image, 200_000);
  if (/^(https?:|data:image\/)/.test(image)) {
    $("image").addEventListener("load", () => {
      $("image").hidden = false;
      $("initial").hidden = true;
    });
    $("image").referrerPolicy = "no-referrer";
    $("image").src = image;
  }
  const { prefill } = options;
  if (!prefill) return;
  $("contact").textContent = text(prefill.email, 254) || text(prefill.contact, 30);
  $("contact-row").hidden = !$("contact").textContent;
  if (states.now === "ready") fields.prefill(prefill);
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  pay();
});
$("retry").addEventListener("click", () => {
  say("");
  states.turn("ready");
  (fields.method === "upi" ? $("tab-upi") : $("tab-card")).focus();
});
$("again").addEventListener("click", () => location.reload());
$("done").addEventListener("click", () => parent.close());
$("cancel").addEventListener("click", () => parent.close());

addEventListener("pageshow", (event) => {
  if (event.persisted) renew(); // Back has brought the page as it was, and the order may have gone on
});

async function start() {
  const kept = boot.view.state === "ready" ? recall() : null;
  if (!kept) return show(boot.view);
  const fresh = calls.token;
  calls.token = kept.token;
  attempt = kept.attempt;
  let view = boot.view;
  let over = false;
  try {
    view = await calls.renew();
  } catch (error) {
    over = error instanceof Refused && error.status === 403;
    if (over) [calls.token, attempt] = [fresh, 1];
  }
  show(view);
  if (view.state === "ready" && !over) remember(); // whoever presses again asks for that same try
}

await start();
$("pay").disabled = false;
document.documentElement.dataset.script = "ready";
if (parent.framed) {
  // The shop's name and what is bought are a message away: nobody sees the page change.
  document.documentElement.dataset.undressed = "";
  setTimeout(dressed, UNDRESSED);
}
parent.ready();
