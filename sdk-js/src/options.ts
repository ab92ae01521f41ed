/** Options as merchants give them become settings that hold: checked once, copied, each refusal by the field's name. */
import type { PaymentFailure, PaymentGatewayOptions, PaymentSuccess, Prefill } from "./api.js";
import { pageBeside, source } from "./address.js";
import { own } from "./natives.js";

export interface Settings {
  /** The hosted page's address, without a query. */
  readonly page: string;
  readonly key: string;
  readonly orderId: string;
  readonly nonce: string | undefined;
  /** A hex colour. */
  readonly color: string | undefined;
  /** What the frame is told once it answers. */
  readonly shown: Shown;
  readonly onSuccess: ((payment: PaymentSuccess) => void) | undefined;
  readonly onFailure: ((failure: PaymentFailure) => void) | undefined;
  readonly onClose: (() => void) | undefined;
}

export interface Shown {
  readonly amount: number | undefined;
  readonly name: string | undefined;
  readonly description: string | undefined;
  readonly image: string | undefined;
  readonly prefill: Prefill;
}

const KNOWN =
  " key orderId amount name description image prefill theme checkoutUrl nonce onSuccess onFailure onClose ";

export function readOptions(given: PaymentGatewayOptions): Settings {
  const options = object(given, "options");
  if (!options) throw wrong("options", "are required: { key, orderId, … }");
  warnOfUnknown(options);
  const theme = object(own(options, "theme"), "theme");
  const prefill = object(own(options, "prefill"), "prefill");
  const told = (name: string) => text(own(prefill, name), "prefill." + name);
  return {
    key: required(own(options, "key"), "key", "your publishable key"),
    orderId: required(own(options, "orderId"), "orderId", "the order to pay"),
    page: page(text(own(options, "checkoutUrl"), "checkoutUrl")),
    nonce: text(own(options, "nonce"), "nonce") || source.nonce,
    color: color(text(own(theme, "color"), "theme.color")),
    shown: {
      amount: amount(own(options, "amount")),
      name: text(own(options, "name"), "name"),
      description: text(own(options, "description"), "description"),
      image: text(own(options, "image"), "image"),
      prefill: { name: told("name"), email: told("email"), contact: told("contact"), vpa: told("vpa") },
    },
    onSuccess: callback(own(options, "onSuccess"), "onSuccess"),
    onFailure: callback(own(options, "onFailure"), "onFailure"),
    onClose: callback(own(options, "onClose"), "onClose"),
  };
}

function wrong(field: string, why: string): Error {
  return new Error(`PaymentGateway: ${field} ${why}`);
}

function required(value: unknown, field: string, what: string): string {
  if (value == null || value === "") throw wrong(field, `is required: ${what}`);
  return text(value, field) as string;
}

function text(value: unknown, field: string): string | undefined {
  if (value == null) return undefined;
  if (typeof value !== "string") throw wrong(field, "must be a string");
  return value;
}

function object(value: unknown, field: string): object | undefined {
  if (value == null) return undefined;
  if (typeof value !== "object") throw wrong(field, "must be an object");
  return value;
}

function amount(value: unknown): number | undefined {
  if (value == null) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 1)
    throw wrong("amount", "must be a positive integer in minor units, 50000 for ₹500.00");
  return value as number;
}

function color(value: string | undefined): string | undefined {
  if (value && !/^#([\da-f]{3}){1,2}$/i.test(value)) throw wrong("theme.color", "must be a hex colour such as #0a7c59");
  return value || undefined;
}

function callback<F>(value: unknown, field: string): F | undefined {
  if (value == null) return undefined;
  if (typeof value !== "function") throw wrong(field, "must be a function");
  return value as F;
}

function page(given: string | undefined): string {
  const found = given ?? pageBeside(source.url);
  if (!found)
    throw wrong("checkoutUrl", "is required where the SDK did not come from the checkout itself: https://…/checkout");
  if (!/^https?:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/.test(found))
    throw wrong("checkoutUrl", "must be an http(s) address without a query");
  return found;
}

/** A name that nobody reads is a slip more often than a wish; it breaks no shop that runs. */
function warnOfUnknown(options: object): void {
  const names = Object.keys(options);
  for (let i = 0; i < names.length; i++)
    if (KNOWN.indexOf(` ${names[i]} `) < 0) console.warn(`PaymentGateway: unknown option ${names[i]}`);
}
