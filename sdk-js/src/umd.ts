/** The script build: a global `PaymentGateway` for a script tag, `module.exports` for CommonJS. */
import { scriptOf, source } from "./address.js";
import { PaymentGateway } from "./api.js";

/** `module`, handed in by the build: spelled out here, esbuild would wrap the whole script as CommonJS. */
declare const commonJs: { exports?: object } | false;
declare const self: { PaymentGateway?: { version?: unknown } };

const script = typeof document === "undefined" ? undefined : scriptOf(document);
if (script) {
  source.url = script.src;
  source.nonce = script.nonce || undefined;
}

const isCommonJs = !!commonJs && !!commonJs.exports;
if (isCommonJs) commonJs.exports = { __esModule: true, PaymentGateway, default: PaymentGateway };

// A script tag always gives the global, also where a page has a `module`. No AMD: an anonymous `define` from a script
// tag breaks the pages that use RequireJS. Loaded twice, the first stays, so that there is one class to compare with.
if (!isCommonJs || script?.src) {
  const there = self.PaymentGateway;
  if (typeof there !== "function" || !(there as { version?: unknown }).version) self.PaymentGateway = PaymentGateway;
}
