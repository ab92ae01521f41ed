// The page around the frame: spoken to at its exact origin alone, heard only from its window and that origin.

const LOOPBACK = /^(https?:\/\/(?:localhost|127\.0\.0\.1)):\*$/;

/** Whether an origin is one of a policy's sources. */
export function allowed(origin, sources) {
  return sources.some((source) => {
    const any = LOOPBACK.exec(source);
    return any ? origin === any[1] || (origin.startsWith(any[1] + ":") && /^\d+$/.test(origin.slice(any[1].length + 1))) : origin === source;
  });
}

/** Whose frame we are in, as the browser says; nothing where it does not say. */
export function originAround() {
  const ancestors = location.ancestorOrigins;
  if (ancestors && ancestors.length) return ancestors[0];
  try {
    return new URL(document.referrer).origin;
  } catch {
    return "";
  }
}

export class Parent {
  /**
   * @param sources where the merchant's pages may show us
   * @param onOptions hears what the SDK wants shown
   */
  constructor(sources, onOptions) {
    this.framed = window.parent !== window;
    if (!this.framed) return;
    const around = originAround();
    // Unknown: the exact ones are tried, and the browser delivers to the one that it is, if any.
    this.targets = around ? (allowed(around, sources) ? [around] : []) : sources.filter((source) => !source.includes("*"));
    addEventListener("message", (event) => {
      if (event.source !== window.parent || !this.targets.includes(event.origin)) return;
      if (event.data && event.data.type === "checkout_options" && event.data.data) {
        this.targets = [event.origin];
        onOptions(event.data.data);
      }
    });
    let told = 0;
    const fit = () => {
      const height = Math.ceil(document.querySelector("main").getBoundingClientRect().height);
      if (height !== told) this.tell("checkout_resize", { height: (told = height) });
    };
    new ResizeObserver(fit).observe(document.querySelector("main"));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) this.close();
    });
  }

  ready() {
    this.tell("checkout_ready");
  }

  succeeded(payment, orderId) {
    this.tell("payment_success", { paymentId: payment.id, orderId, status: "success" });
  }

  failed(payment) {
    this.tell("payment_failed", { code: payment.error_code || "PAYMENT_FAILED", description: payment.message, paymentId: payment.id });
  }

  close() {
    this.tell("close_modal");
  }

  tell(type, data) {
    if (this.framed) for (const target of this.targets) window.parent.postMessage({ type, data }, target);
  }
}
