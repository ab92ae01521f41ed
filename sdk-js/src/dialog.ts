/** The dialog around the frame: above everything, out of reach of the page's styles, gone without a trace. */
import css from "./dialog.css";
import { listen } from "./natives.js";
import { addSheet, lockScroll } from "./sheets.js";
import { strings } from "./strings.js";

export const ID = "payment-gateway-modal";
/** Sent to a dialog's element by another copy of the SDK that wants to open its own. */
export const YIELD = "payment-gateway-yield";

const TALLEST = 4000;
const GUARD = { class: "guard", tabindex: "0" };

export interface Dialog {
  /** The window of the frame that stands now; what an earlier one says no longer counts. */
  readonly frame: () => Window | null;
  /** Put in a new frame, hidden until `show`. A new element, as a new address would become an entry of Back. */
  readonly load: (address: string) => void;
  readonly show: () => void;
  readonly fail: () => void;
  readonly fit: (height: number) => void;
  readonly focus: () => void;
  /** Everything as it was before: nodes, listeners, rules, focus. */
  readonly remove: () => void;
}

interface Wishes {
  readonly name: string | undefined;
  readonly accent: string | undefined;
  readonly nonce: string | undefined;
  readonly onRetry: () => void;
  /** The shopper, the browser or the page wants the dialog gone. */
  readonly onClose: () => void;
}

export function openDialog({ name, accent, nonce, onRetry, onClose }: Wishes): Dialog {
  const say = strings(navigator.language);
  const before = deepFocus();
  const { host, shadow, button, dialog, first, last, panel, apology, retry } = draw(say, name);
  let frame: HTMLIFrameElement | undefined;

  const sheet = addSheet(shadow, `${css}.panel{--accent:${accent || "#2f6fed"}}`, nonce).sheet;
  const unlock = lockScroll(nonce);
  // Beside the body: it may not exist yet, be hidden or transformed, or be made inert by another dialog of the page.
  document.documentElement.appendChild(host);
  try {
    dialog.showModal();
  } catch {
    dialog.setAttribute("open", ""); // a browser without modal dialogs: our layer is the highest, the guards keep Tab
  }

  const focus = () => (panel.className === "panel" && frame ? frame : button).focus();
  let pressed = false;
  const undo = [
    unlock,
    listen(first, "focus", () => (retry.offsetWidth ? retry.focus() : focus())),
    listen(last, "focus", () => button.focus()),
    listen(button, "click", onClose),
    listen(retry, "click", onRetry),
    listen(host, YIELD, onClose),
    // The page underneath may close something by Escape too: this one is for us.
    listen(window, "keydown", closeByKey, true),
    listen(dialog, "cancel", closeByBrowser),
    listen(dialog, "close", onClose),
    listen(dialog, "mousedown", (event: MouseEvent) => (pressed = event.target === dialog)),
    listen(host, "click", closeByBackdrop),
    watchRemoval(host, onClose),
  ];
  button.focus();

  function closeByKey(event: KeyboardEvent): void {
    if (event.key !== "Escape" || event.isComposing) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    onClose();
  }

  /** Back on Android, and an Escape that the page swallowed. */
  function closeByBrowser(event: Event): void {
    event.preventDefault();
    onClose();
  }

  /** Pressed and released there; the second click of a double click was meant for what opened us. */
  function closeByBackdrop(event: MouseEvent): void {
    const at = event.composedPath()[0];
    if (at === host || (at === dialog && pressed && event.detail < 2)) onClose();
  }

  return {
    frame: () => frame?.contentWindow ?? null,
    load(address) {
      const held = !frame || document.activeElement === host || document.activeElement === frame;
      frame?.remove();
      panel.className = "panel busy";
      frame = make("iframe", {
        slot: "frame",
        "data-test-id": "payment-iframe",
        title: say.frame,
        allow: "payment; clipboard-write",
        referrerpolicy: "origin",
        src: address,
      });
      host.appendChild(frame);
      if (held) button.focus();
    },
    show() {
      if (panel.className === "panel") return;
      const held = host.contains(document.activeElement);
      panel.className = "panel";
      if (held) focus();
    },
    fail() {
      panel.className = "panel silent";
      apology.textContent = say.silent;
    },
    fit(height) {
      const rule = sheet()?.cssRules[0] as CSSStyleRule | undefined;
      rule?.style.setProperty("height", `${Math.min(Math.ceil(height), TALLEST)}px`);
    },
    focus,
    remove() {
      for (let i = 0; i < undo.length; i++) undo[i]?.();
      dialog.close?.(); // gives the focus back, where there are modal dialogs
      host.remove();
      if (before && before !== deepFocus()) before.focus?.({ __proto__: null, preventScroll: true } as FocusOptions);
    },
  };
}

interface Drawn {
  host: HTMLElement;
  shadow: ShadowRoot;
  button: HTMLElement;
  dialog: HTMLDialogElement;
  first: HTMLElement;
  last: HTMLElement;
  panel: HTMLElement;
  apology: HTMLElement;
  retry: HTMLElement;
}

/**
 * The parts of the dialog. The frame and the button are children in the page's own tree, where anyone finds them, shown
 * through slots of a shadow tree, whose important rules are the last word on how they look.
 */
function draw(say: ReturnType<typeof strings>, name: string | undefined): Drawn {
  const host = make("div", { id: ID, "data-test-id": "payment-modal" });
  const shadow = host.attachShadow({ __proto__: null, mode: "open" } as ShadowRootInit);
  const button = make(
    "button",
    { type: "button", slot: "close", "data-test-id": "close-modal-button", "aria-label": say.close },
    "\xd7",
  );
  const dialog = make("dialog", {
    role: "dialog",
    "aria-modal": "true",
    "aria-label": name ? `${say.title}: ${name}` : say.title,
    lang: say.lang,
    tabindex: "-1",
  });
  const first = make("span", GUARD);
  const last = make("span", GUARD);
  const panel = make("div", { class: "panel" });
  const bar = make("div", { class: "bar" });
  const form = make("div", { class: "form" });
  const busy = make("div", { class: "busy-state", role: "status" });
  const silent = make("div", { class: "silent-state" });
  const apology = make("div", { role: "alert" });
  const retry = make("button", { type: "button", class: "retry", "data-test-id": "reload-frame-button" }, say.retry);
  nest(host, button);
  nest(shadow, nest(dialog, first, nest(panel, bar, form), last));
  nest(bar, make("div", { class: "title" }, name || say.title), make("slot", { name: "close" }));
  nest(form, make("slot", { name: "frame" }), busy, nest(silent, apology, retry));
  nest(busy, make("div", { class: "spinner" }), make("div", {}, say.loading));
  return { host, shadow, button, dialog, first, last, panel, apology, retry };
}

function make<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  attributes: Record<string, string>,
  text = "",
): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag);
  const names = Object.keys(attributes);
  for (let i = 0; i < names.length; i++) {
    const one = names[i] as string;
    element.setAttribute(one, attributes[one] as string);
  }
  if (text) element.textContent = text;
  return element;
}

function nest<T extends Node>(into: T, ...children: Element[]): T {
  for (let i = 0; i < children.length; i++) into.appendChild(children[i] as Element);
  return into;
}

/** What has the focus, through the shadow roots. */
function deepFocus(): HTMLElement | null {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at as HTMLElement | null;
}

/** A page that takes our element away has closed us: nothing else would unlock its scrolling. */
function watchRemoval(host: Element, removed: () => void): () => void {
  const observer = new MutationObserver(() => {
    if (!host.isConnected) removed();
  });
  observer.observe(document.documentElement, { __proto__: null, childList: true } as MutationObserverInit);
  return () => observer.disconnect();
}
