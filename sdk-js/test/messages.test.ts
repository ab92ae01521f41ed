import { describe, expect, it } from "vitest";
import { judge, readMessage, type Message } from "../src/messages.js";

const ORIGIN = "https://pay.example";
const frame = {};
const read = (data: unknown, more: object = {}) =>
  readMessage({ isTrusted: true, origin: ORIGIN, source: frame, data, ...more } as never, ORIGIN, frame);

describe("whom to believe", () => {
  const close = { type: "close_modal" };
  it.each([
    ["the frame", {}, { type: "close_modal" }],
    ["another window", { source: {} }, undefined],
    ["no window", { source: null }, undefined],
    ["another origin", { origin: "https://pay.example.evil.example" }, undefined],
    ["a sandboxed origin", { origin: "null" }, undefined],
    ["a made-up event", { isTrusted: false }, undefined],
  ])("%s", (_, more, message) => {
    expect(read(close, more)).toEqual(message);
  });

  it("nobody, while there is no frame", () => {
    const event = { isTrusted: true, origin: ORIGIN, source: null, data: close };
    expect(readMessage(event as never, ORIGIN, null)).toBeUndefined();
  });
});

describe("what is said", () => {
  it.each([
    [{ type: "checkout_ready" }, { type: "checkout_ready" }],
    [{ type: "checkout_resize", data: { height: 12.5 } }, { type: "checkout_resize", height: 12.5 }],
    [{ type: "checkout_resize", data: { height: Infinity } }, undefined],
    [{ type: "checkout_resize", data: { height: NaN } }, undefined],
    [{ type: "checkout_resize" }, undefined],
    [
      { type: "payment_success", data: { paymentId: "pay_1", orderId: "o", status: "success", more: 1 } },
      { type: "payment_success", payment: { paymentId: "pay_1", orderId: "o", status: "success" } },
    ],
    [{ type: "payment_success", data: { orderId: "o" } }, undefined],
    [{ type: "payment_failed" }, { type: "payment_failed", failure: { code: "PAYMENT_FAILED", description: "" } }],
    [
      { type: "payment_failed", data: { code: "c", description: "d", paymentId: "pay_1" } },
      { type: "payment_failed", failure: { code: "c", description: "d", paymentId: "pay_1" } },
    ],
    [{ type: "constructor" }, undefined],
    [{ type: ["close_modal"] }, undefined],
    ["close_modal", undefined],
    [null, undefined],
    [Object.create({ type: "close_modal" }), { type: "close_modal" }],
  ])("%o", (data, message) => {
    expect(read(data)).toEqual(message);
  });

  it("is not what hangs on Object.prototype", () => {
    const polluted = Object.prototype as { type?: unknown };
    polluted.type = "close_modal";
    try {
      expect(read({})).toBeUndefined();
    } finally {
      delete polluted.type;
    }
  });
});

describe("what is news", () => {
  const success = (paymentId: string, orderId = "o"): Message => ({
    type: "payment_success",
    payment: { paymentId, orderId, status: "success" },
  });
  const failed = (paymentId?: string): Message => ({
    type: "payment_failed",
    failure: { code: "c", description: "d", ...(paymentId && { paymentId }) },
  });

  it("is one success, and nothing after it", () => {
    const isNews = judge("o");
    const all = [success("pay_1"), success("pay_1"), success("pay_2"), failed("pay_3")];
    expect(all.map(isNews)).toEqual([true, false, false, false]);
  });

  it("is each failed payment once, and every failure without one", () => {
    const isNews = judge("o");
    const all = [failed("pay_12"), failed("pay_1"), failed("pay_12"), failed(), failed(), success("pay_3")];
    expect(all.map(isNews)).toEqual([true, true, false, true, true, true]);
  });

  it("is not of another order, and that does not end it", () => {
    const isNews = judge("o");
    const unnamed = success("pay_2", "");
    expect([success("pay_1", "other"), unnamed].map(isNews)).toEqual([false, true]);
    expect(unnamed).toMatchObject({ payment: { orderId: "o" } });
  });
});
