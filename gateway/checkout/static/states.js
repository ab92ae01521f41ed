// One of four things is on the page: the form, the wait, the success, the failure. Each says so, and takes the focus.

const $ = (id) => document.getElementById(id);
const SECTIONS = { ready: "form", processing: "processing", success: "success", failed: "failed" };
const SLOW = 12_000; // milliseconds after which "a few seconds" is no longer true

export class States {
  constructor(texts) {
    this.texts = texts;
    this.now = document.documentElement.dataset.state;
    this.usual = { title: $("processing-title").textContent, text: $("processing-text").textContent };
    this.slow = 0;
    this.isSlow = false;
    this.away = false;
  }

  /** Show a view. The first one stands already, and nobody waits to hear of it. */
  show(view) {
    const { state, payment } = view;
    if (state === "processing") this.#showWait(payment);
    else clearTimeout(this.slow);
    if (payment) $("payment-id").textContent = payment.id;
    if (state === "failed") $("error-message").textContent = payment.message;
    this.turn(state);
  }

  /** A failure without a payment. */
  showFailure(text) {
    clearTimeout(this.slow);
    $("error-message").textContent = text;
    this.turn("failed");
  }

  turn(state) {
    if (state === this.now) return;
    this.now = state;
    document.documentElement.dataset.state = state;
    for (const [name, id] of Object.entries(SECTIONS)) $(id).hidden = name !== state;
    $("news").textContent = this.texts[`state.${state}`];
    if (state !== "ready") $(`${SECTIONS[state]}-title`).focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  /** Nobody can be reached, or again. */
  setAway(away) {
    if (away === this.away) return;
    this.away = away;
    this.#word();
  }

  #showWait(payment) {
    const again = this.now === "processing" && this.waitsFor === (payment && payment.id);
    if (again) return;
    this.waitsFor = payment && payment.id;
    clearTimeout(this.slow);
    this.isSlow = false;
    this.away = false;
    const scanned = Boolean(payment && payment.code);
    const link = payment && payment.link;
    this.usual = scanned ? { title: this.texts["qr.title"], text: this.texts["qr.text"] } : { title: this.texts["wait.title"], text: this.texts[payment && payment.method === "upi" ? "wait.upi" : "wait.text"] };
    $("processing").classList.toggle("scanned", scanned);
    $("code").hidden = !scanned;
    if (scanned) $("code").replaceChildren(drawn(payment.code, this.texts["qr.name"]));
    $("open-app").hidden = !link;
    if (link && link.startsWith("upi://")) $("open-app").href = link;
    const patience = (scanned ? 5 : 1) * SLOW; // people fetch their phones
    this.slow = setTimeout(() => {
      this.isSlow = true;
      this.#word();
    }, Math.max(0, patience - 1000 * ((payment && payment.waited) || 0)));
    this.#word();
  }

  #word() {
    const { texts } = this;
    const [title, text] = this.away
      ? [texts["away.title"], texts["away.text"]]
      : this.isSlow
        ? [texts["slow.title"], texts["slow.text"]]
        : [this.usual.title, this.usual.text];
    $("processing").dataset.mood = this.away ? "away" : this.isSlow ? "slow" : "usual";
    if ($("processing-title").textContent === title && $("processing-text").textContent === text) return;
    $("processing-title").textContent = title;
    $("processing-text").textContent = text;
    if (this.now === "processing") $("news").textContent = `${title}. ${text}`;
  }
}

/** A QR code as an image, in dark on white in every theme: readers expect that. */
function drawn(code, name) {
  const make = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const side = code.size + 8; // four modules of quiet on each side (ISO/IEC 18004)
  const image = make("svg", { viewBox: `-4 -4 ${side} ${side}`, role: "img", "aria-label": name, "shape-rendering": "crispEdges" });
  image.append(make("rect", { x: -4, y: -4, width: side, height: side, fill: "#fff" }), make("path", { d: code.path, fill: "#000" }));
  return image;
}
