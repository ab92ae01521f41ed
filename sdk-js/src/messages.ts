/** What the frame may say, and what is believed: from our window and the checkout's origin, in the shapes below. */
import type { PaymentFailure, PaymentSuccess } from "./api.js";
import { own } from "./natives.js";

export type Message =
  | { type: "checkout_ready" }
  | { type: "checkout_resize"; height: number }
  | { type: "payment_success"; payment: PaymentSuccess }
  | { type: "payment_failed"; failure: PaymentFailure }
  | { type: "close_modal" };

/**
 * A message that can be trusted, or undefined.
 *
 * @param origin the checkout's
 * @param frame the window of the frame that stands now; another one's words do not count, nor made-up events
 */
export function readMessage(event: MessageEvent, origin: string, frame: unknown): Message | undefined {
  if (!event.isTrusted || event.origin !== origin || !frame || event.source !== frame) return undefined;
  const type = own(event.data, "type");
  const data = own(event.data, "data");
  const text = (name: string, otherwise = "") => {
    const value = own(data, name);
    return typeof value === "string" ? value : otherwise;
  };
  switch (type) {
    case "checkout_ready":
    case "close_modal":
      return { type };
    case "checkout_resize": {
      const height = own(data, "height");
      return typeof height === "number" && height > 0 && height < Infinity ? { type, height } : undefined;
    }
    case "payment_success": {
      const payment = { paymentId: text("paymentId"), orderId: text("orderId"), status: text("status", "success") };
      return payment.paymentId ? { type, payment } : undefined;
    }
    case "payment_failed": {
      const failure: PaymentFailure = { code: text("code", "PAYMENT_FAILED"), description: text("description") };
      if (text("paymentId")) failure.paymentId = text("paymentId");
      return { type, failure };
    }
    default:
      return undefined;
  }
}

/**
 * Which messages tell the merchant something new: one success and nothing after it, one failure for each payment.
 * A payment of another order is none of ours.
 */
export function judge(orderId: string): (message: Message) => boolean {
  let paid = false;
  let failed = " ";
  return (message) => {
    if (paid) return false;
    if (message.type === "payment_success") {
      message.payment.orderId ||= orderId;
      return (paid = message.payment.orderId === orderId);
    }
    if (message.type !== "payment_failed") return false;
    const { paymentId } = message.failure;
    if (!paymentId) return true;
    if (failed.indexOf(` ${paymentId} `) >= 0) return false;
    failed += paymentId + " ";
    return true;
  };
}
