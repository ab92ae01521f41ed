/** One time that the checkout is open: a frame loads, answers, and its words become the merchant's callbacks. */
import { ID, YIELD, openDialog } from "./dialog.js";
import { judge, readMessage } from "./messages.js";
import { later, listen, notLater } from "./natives.js";
import type { Settings } from "./options.js";

/** Milliseconds for which a frame may keep silent until the shopper is told. */
const PATIENCE = 15_000;

export interface Session {
  readonly focus: () => void;
  readonly close: () => void;
}

/**
 * Open the checkout. One at a time: whichever is open, even of another copy of this script, is closed first.
 *
 * @param over called once, when everything is taken away and before the merchant hears of it
 */
export function begin(settings: Settings, over: () => void): Session {
  if (typeof document === "undefined") throw new Error("PaymentGateway: open() needs a browser");
  document.getElementById(ID)?.dispatchEvent(new Event(YIELD));

  const { page, key, orderId, color, shown } = settings;
  // In the address, so that the form never stands in another colour.
  const query =
    `?order_id=${encodeURIComponent(orderId)}&key=${encodeURIComponent(key)}&embedded=true` +
    (color ? `&color=${encodeURIComponent(color)}` : "");
  const { origin } = new URL(page);
  const isNews = judge(orderId);
  let patience: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  // Before the frame: it may answer at once.
  const deaf = listen(window, "message", hear);
  const dialog = openDialog({
    name: shown.name,
    accent: color,
    nonce: settings.nonce,
    onRetry: load,
    onClose: close,
  });
  load();

  function load(): void {
    notLater(patience);
    patience = later(silent, PATIENCE);
    dialog.load(page + query);
  }

  /** The frame stays: it may still come, and then the form is shown. */
  function silent(): void {
    dialog.fail();
    const description = "The payment form did not load within 15 seconds.";
    tell(settings.onFailure, { code: "CHECKOUT_UNAVAILABLE", description });
  }

  function hear(event: MessageEvent): void {
    const message = readMessage(event, origin, dialog.frame());
    if (!message) return;
    notLater(patience);
    dialog.show();
    switch (message.type) {
      case "checkout_ready":
        // The key and the order are in the address; what is personal travels here, to this origin alone.
        dialog.frame()?.postMessage(
          { type: "checkout_options", data: { version: VERSION, ...shown, image: absolute(shown.image) } },
          origin,
        );
        break;
      case "checkout_resize":
        dialog.fit(message.height);
        break;
      case "payment_success":
        if (isNews(message)) tell(settings.onSuccess, message.payment);
        break;
      case "payment_failed":
        if (isNews(message)) tell(settings.onFailure, message.failure);
        break;
      case "close_modal":
        close();
    }
  }

  function close(): void {
    if (closed) return;
    closed = true;
    notLater(patience);
    deaf();
    dialog.remove();
    over();
    tell(settings.onClose, undefined);
  }

  return { focus: dialog.focus, close };
}

/** A merchant's callback that throws is reported as an uncaught error, and hurts nobody but itself. */
function tell<T>(callback: ((told: T) => void) | undefined, told: T): void {
  try {
    callback?.(told);
  } catch (error) {
    later(() => {
      throw error;
    });
  }
}

function absolute(address: string | undefined): string | undefined {
  try {
    return address && new URL(address, document.baseURI).href;
  } catch {
    return undefined;
  }
}
