// The form: formats while one types, says at once what cannot be right, and gives the request that pays.

import * as card from "./card.js";

const $ = (id) => document.getElementById(id);
const FIELDS = { upi: ["vpa"], card: ["number", "expiry", "cvv", "holder"] };

export class Fields {
  /** @param texts the catalogue's words for scripts */
  constructor(texts) {
    this.texts = texts;
    this.tabs = [...document.querySelectorAll("[role=tab]")].filter((tab) => this.upi || tab.dataset.method !== "upi");
    $("tab-upi").hidden = !this.upi;
    this.#wireTabs();
    this.#wireFlows();
    this.#wireUpi();
    this.#wireCard();
    this.choose(this.method);
  }

  get upi() {
    return document.documentElement.dataset.upi === "yes";
  }

  get method() {
    return document.documentElement.dataset.method;
  }

  get flow() {
    return document.querySelector("[data-flow]:checked").dataset.flow;
  }

  choose(method, { focus = false } = {}) {
    document.documentElement.dataset.method = method;
    for (const tab of this.tabs) {
      const chosen = tab.dataset.method === method;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen && focus) tab.focus();
    }
  }

  /** The first fault takes the focus; without any, the request. */
  request() {
    if (this.method === "upi") {
      if (this.flow !== "collect") return { method: "upi", flow: this.flow };
      if (!this.#check(["vpa"])) return null;
      return { method: "upi", flow: "collect", vpa: $("vpa").value.trim() };
    }
    if (!this.#check(FIELDS.card)) return null;
    const { month, year } = card.expiryOf($("expiry").value);
    const given = { number: card.digitsOf($("number").value), expiry_month: month, expiry_year: year, cvv: $("cvv").value };
    return { method: "card", card: { ...given, name: $("holder").value.trim() } };
  }

  /** Show what the server refuses where it belongs; whether there is such a place. */
  blame(refused) {
    const places = { vpa_invalid: "vpa", vpa_missing: "vpa", card_number_invalid: "number", card_expired: "expiry", cvv_invalid: "cvv" };
    const named = { vpa: "vpa", "card.number": "number", "card.expiry_month": "expiry", "card.expiry_year": "expiry", "card.cvv": "cvv", "card.name": "holder" };
    const id = places[refused.reason] || named[refused.field];
    if (!id) return false;
    const texts = { number: "number_invalid", expiry: refused.reason === "card_expired" ? "card_expired" : "expiry_invalid", holder: "name_missing" };
    this.#say(id, texts[id] || `${id}_invalid`);
    $(id).focus();
    return true;
  }

  prefill(given) {
    if (given.name && !$("holder").value) $("holder").value = String(given.name).slice(0, 100);
    if (given.vpa && !$("vpa").value) {
      $("vpa").value = String(given.vpa).slice(0, 320);
      $("vpa").dispatchEvent(new Event("input"));
    }
  }

  /** What nobody needs any more is not left standing. */
  clear() {
    for (const id of FIELDS.card) $(id).value = "";
    this.#showBrand();
  }

  #check(ids) {
    const wrong = ids.filter((id) => this.#say(id, this.#fault(id)));
    if (wrong.length) $(wrong[0]).focus();
    return !wrong.length;
  }

  #fault(id) {
    const text = $(id).value;
    if (id === "vpa") return card.vpaFault(text.trim());
    if (id === "number") return card.numberFault(card.digitsOf(text));
    if (id === "expiry") return card.expiryFault(text);
    if (id === "holder") return text.trim() ? "" : "name_missing";
    if (!text) return "cvv_missing";
    return text.length === card.cvvDigits(card.digitsOf($("number").value)) ? "" : "cvv_invalid";
  }

  #say(id, fault) {
    const digits = String(card.cvvDigits(card.digitsOf($("number").value)));
    const text = fault ? this.texts[fault].replace("{digits}", digits) : "";
    if ($(`${id}-error`).textContent !== text) $(`${id}-error`).textContent = text;
    if (text) $(id).setAttribute("aria-invalid", "true");
    else $(id).removeAttribute("aria-invalid");
    return fault;
  }

  #wireTabs() {
    for (const tab of this.tabs) tab.addEventListener("click", () => this.choose(tab.dataset.method));
    document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const at = this.tabs.findIndex((tab) => tab.dataset.method === this.method);
      const to = step ? (at + step + this.tabs.length) % this.tabs.length : { Home: 0, End: this.tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.choose(this.tabs[to].dataset.method, { focus: true });
    });
  }

  #wireFlows() {
    const flows = [...document.querySelectorAll("[data-flow]")];
    // A name would be sent with a form; without one the group is ours to hold.
    const pick = (chosen) => {
      for (const flow of flows) {
        flow.checked = flow === chosen;
        flow.tabIndex = flow.checked ? 0 : -1;
      }
      $("panel-upi").dataset.flow = chosen.dataset.flow;
    };
    for (const flow of flows) {
      flow.addEventListener("change", () => pick(flow));
      flow.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const shown = flows.filter((one) => one.offsetParent !== null);
        const to = shown[(shown.indexOf(flow) + step + shown.length) % shown.length];
        pick(to);
        to.focus();
      });
    }
    pick(flows.find((flow) => flow.checked) || flows[0]);
  }

  #wireUpi() {
    const vpa = $("vpa");
    const box = vpa.parentElement;
    vpa.addEventListener("input", () => {
      const fault = card.vpaFault(vpa.value.trim());
      box.classList.toggle("right", !fault);
      if (!fault || !vpa.value) this.#say("vpa", "");
      else if (vpa.hasAttribute("aria-invalid") || vpa.value.split("@").length > 2 || /\s/.test(vpa.value.trim())) this.#say("vpa", "vpa_invalid");
    });
    vpa.addEventListener("blur", () => vpa.value && this.#say("vpa", this.#fault("vpa")));
  }

  #wireCard() {
    const number = $("number");
    number.addEventListener("input", () => {
      const before = card.digitsOf(number.value.slice(0, number.selectionStart)).length;
      const atEnd = number.selectionStart === number.value.length;
      number.value = card.grouped(card.digitsOf(number.value));
      if (!atEnd) number.setSelectionRange(...Array(2).fill(after(number.value, before)));
      this.#showBrand();
      const fault = this.#fault("number");
      if (fault === "number_invalid" || !fault) this.#say("number", fault);
      else if (number.hasAttribute("aria-invalid")) this.#say("number", "");
    });
    const expiry = $("expiry");
    expiry.addEventListener("input", (event) => {
      if (expiry.selectionStart === expiry.value.length || !event.inputType)
        expiry.value = card.expiryShown(expiry.value, (event.inputType || "").startsWith("delete"));
      const fault = this.#fault("expiry");
      if (card.digitsOf(expiry.value).length >= 4) this.#say("expiry", fault);
      else if (expiry.hasAttribute("aria-invalid")) this.#say("expiry", "");
    });
    const cvv = $("cvv");
    cvv.addEventListener("input", () => {
      cvv.value = card.digitsOf(cvv.value).slice(0, card.cvvDigits(card.digitsOf(number.value)));
      if (cvv.hasAttribute("aria-invalid")) this.#say("cvv", "");
    });
    $("holder").addEventListener("input", () => this.#say("holder", ""));
    for (const id of FIELDS.card) $(id).addEventListener("blur", () => $(id).value && this.#say(id, this.#fault(id)));
  }

  #showBrand() {
    const brand = card.brandOf(card.digitsOf($("number").value));
    $("brand").firstElementChild.setAttribute("href", `#brand-${brand.name}`);
    $("brand").setAttribute("aria-hidden", String(!brand.label));
    $("brand").setAttribute("aria-label", brand.label);
    $("cvv").placeholder = "1234".slice(0, brand.cvv || 3);
  }
}

/** Where a caret stands that had so many digits before it. */
function after(text, digits) {
  let at = 0;
  for (let seen = 0; at < text.length && seen < digits; at++) if (/\d/.test(text[at])) seen++;
  return at;
}
