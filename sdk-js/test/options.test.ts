import { afterEach, describe, expect, it, vi } from "vitest";
import { source } from "../src/address.js";
import type { PaymentGatewayOptions } from "../src/api.js";
import { readOptions } from "../src/options.js";

const GOOD = { key: "key_test_abc123", orderId: "order_1", checkoutUrl: "https://pay.example/checkout" };
const read = (more: object) => readOptions({ ...GOOD, ...more } as PaymentGatewayOptions);

afterEach(() => {
  source.url = "";
  source.nonce = undefined;
  vi.restoreAllMocks();
});

describe("a wrong option is refused by its name", () => {
  it.each([
    [{ key: undefined }, "key is required"],
    [{ key: "" }, "key is required"],
    [{ key: 7 }, "key must be a string"],
    [{ orderId: null }, "orderId is required"],
    [{ orderId: 42 }, "orderId must be a string"],
    [{ amount: "500" }, "amount must be a positive integer"],
    [{ amount: 500.5 }, "amount must be a positive integer"],
    [{ amount: 0 }, "amount must be a positive integer"],
    [{ amount: 2 ** 53 }, "amount must be a positive integer"],
    [{ name: 7 }, "name must be a string"],
    [{ description: {} }, "description must be a string"],
    [{ image: [] }, "image must be a string"],
    [{ prefill: "Asha" }, "prefill must be an object"],
    [{ prefill: { contact: 9190 } }, "prefill.contact must be a string"],
    [{ prefill: { email: false } }, "prefill.email must be a string"],
    [{ theme: "#0a7" }, "theme must be an object"],
    [{ theme: { color: "red; } * { display: none" } }, "theme.color must be a hex colour"],
    [{ theme: { color: "#0a7c" } }, "theme.color must be a hex colour"],
    [{ onSuccess: "paid()" }, "onSuccess must be a function"],
    [{ onFailure: {} }, "onFailure must be a function"],
    [{ onClose: true }, "onClose must be a function"],
    [{ nonce: 7 }, "nonce must be a string"],
    [{ checkoutUrl: "pay.example/checkout" }, "checkoutUrl must be an http(s) address"],
    [{ checkoutUrl: "javascript:alert(1)//https://x/" }, "checkoutUrl must be an http(s) address"],
    [{ checkoutUrl: "https://user@pay.example/checkout" }, "checkoutUrl must be an http(s) address"],
    [{ checkoutUrl: "https://pay.example/checkout?a=b" }, "checkoutUrl must be an http(s) address"],
    [{ checkoutUrl: undefined }, "checkoutUrl is required"],
  ])("%o", (more, said) => {
    expect(() => read(more)).toThrow(`PaymentGateway: ${said}`);
  });

  it.each([undefined, null])("no options at all", (nothing) => {
    expect(() => readOptions(nothing as never)).toThrow("PaymentGateway: options are required");
  });
});

it("takes what is left out, undefined or null as left out", () => {
  const nothing = { amount: null, name: undefined, prefill: null, theme: undefined, onSuccess: null, image: undefined };
  expect(read(nothing).shown).toEqual(read({}).shown);
  expect(read({ theme: { color: undefined } }).color).toBeUndefined();
});

it("keeps what it has read, whatever becomes of the merchant's object", () => {
  const given = { ...GOOD, prefill: { vpa: "asha@upi" } };
  const settings = readOptions(given);
  given.orderId = "order_2";
  given.prefill.vpa = "else@upi";
  expect([settings.orderId, settings.shown.prefill.vpa]).toEqual(["order_1", "asha@upi"]);
});

it("takes options of a class, and nothing that hangs on Object.prototype", () => {
  class Mine {
    key = "k";
    orderId = "o";
    checkoutUrl = GOOD.checkoutUrl;
    onClose(): void {}
  }
  const polluted = Object.prototype as { amount?: unknown; vpa?: unknown };
  polluted.amount = "polluted";
  polluted.vpa = "thief@upi";
  try {
    const settings = readOptions(Object.assign(new Mine(), { prefill: {} }));
    expect(settings.onClose).toBe(Mine.prototype.onClose);
    expect([settings.shown.amount, settings.shown.prefill.vpa]).toEqual([undefined, undefined]);
  } finally {
    delete polluted.amount;
    delete polluted.vpa;
  }
});

it("warns of a name that it does not know", () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  read({ onSucess: () => {}, onSuccess: () => {} });
  expect(warned.mock.calls).toEqual([["PaymentGateway: unknown option onSucess"]]);
});

it("finds the page beside the script, unless it is told another", () => {
  source.url = "https://pay.example/v1/checkout.js";
  expect(read({ checkoutUrl: undefined }).page).toBe("https://pay.example/v1/checkout");
  expect(read({}).page).toBe(GOOD.checkoutUrl);
});

it("takes the nonce of its script, unless it is told another", () => {
  source.nonce = "of the script";
  expect([read({}).nonce, read({ nonce: "given" }).nonce]).toEqual(["of the script", "given"]);
});
