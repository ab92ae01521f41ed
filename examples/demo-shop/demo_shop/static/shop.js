// Without this script the shop works too: every form is a form. With it, the basket is filled in place, and the checkout
// opens over the page.
"use strict";

const said = document.getElementById("said");

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-quiet]")) fill(event, form);
  else if (form.matches("[data-pay]") && window.PaymentGateway) pay(event, form);
});

/** Put something into the basket without leaving the place on the page. */
async function fill(event, form) {
  event.preventDefault();
  const button = event.submitter ?? form.querySelector("button");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["main", "to-basket"]) document.getElementById(id).replaceWith(page.getElementById(id));
    const stays = document.getElementById(button.id);
    (stays && !stays.disabled ? stays : (document.querySelector(".quantity button, #main a") ?? document.body)).focus();
    said.textContent = document.getElementById("to-basket").innerText;
  } catch {
    form.submit(); // as if there were no script
  }
}

/**
 * Open the checkout over the page. What it says of success leads to the page that says thank you, and to nothing else:
 * our server hears from the gateway itself whether we were paid.
 */
async function pay(event, form) {
  event.preventDefault();
  const button = form.querySelector("button");
  const problem = form.querySelector("#problem");
  button.disabled = true;
  problem.hidden = true;
  try {
    const till = form.dataset.till ? JSON.parse(form.dataset.till) : await order(form.action);
    if (!till.key) return location.assign(till.page); // paid already
    const checkout = new PaymentGateway({
      key: till.key,
      orderId: till.orderId,
      amount: till.amount,
      name: "Chai Patti",
      description: till.description,
      image: "/static/mark.svg",
      theme: { color: "#1f5c4a" },
      onSuccess: () => location.assign(`${till.page}?thanks`),
      onFailure: ({ description }) => (said.textContent = description),
    });
    button.disabled = false; // the dialog gives the focus back to it
    button.focus();
    checkout.open();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    button.disabled = false;
  }
}

/** Have the basket made an order by our server, which knows the prices. */
async function order(address) {
  const answer = await fetch(address, { method: "POST", headers: { Accept: "application/json" } }).catch(() => null);
  const body = await answer?.json().catch(() => null);
  if (!answer?.ok || !body) throw new Error(body?.error ?? "The shop does not answer. Nothing was charged; please try again.");
  return body;
}

/** Ask how the order stands until it is paid: often at first, then every few seconds, for half an hour. */
async function watch() {
  const progress = document.getElementById("progress");
  const end = Date.now() + 30 * 60_000;
  for (let pause = 400; progress && Date.now() < end; pause = Math.min(pause * 1.3, 5000)) {
    const waiting = progress.querySelector("[data-watch]");
    if (!waiting) return;
    await new Promise((resolve) => setTimeout(resolve, pause));
    const answer = await fetch(waiting.dataset.watch).catch(() => null); // offline for a moment: ask again
    if (!answer?.ok) continue;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html").body.firstElementChild;
    if (page.dataset.state !== waiting.dataset.state) waiting.replaceWith(page); // else nothing is read out again
  }
}

watch();
