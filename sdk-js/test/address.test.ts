import { describe, expect, it } from "vitest";
import { pageBeside, scriptOf } from "../src/address.js";

it.each([
  ["https://pay.example/checkout.js", "https://pay.example/checkout"],
  ["http://localhost:3001/checkout.js?v=3#x", "http://localhost:3001/checkout"],
  ["https://pay.example/checkout.mjs", "https://pay.example/checkout"],
  ["https://pay.example/checkout-0.1.0.js", "https://pay.example/checkout"],
  ["https://shop.example/pay/checkout.js", "https://shop.example/pay/checkout"],
  ["https://shop.example/assets/app.js", undefined],
  ["https://shop.example/my-checkout.js", undefined],
  ["https://shop.example/app.js?next=/checkout.js", undefined],
  ["https://shop.example/node_modules/@ledgate/checkout/dist/checkout.mjs", undefined],
  ["file:///srv/app/dist/checkout.mjs", undefined],
  ["", undefined],
])("beside %s: %s", (script, page) => {
  expect(pageBeside(script)).toBe(page);
});

describe("the script that brought us", () => {
  const script = (src: string) => ({ tagName: "SCRIPT", src });
  const page = (currentScript: unknown, ...scripts: unknown[]) => ({ currentScript, scripts }) as never;

  it("is the one that runs", () => {
    expect(scriptOf(page(script("https://a.example/app.js")))?.src).toBe("https://a.example/app.js");
  });

  it("is the only one that could be ours, where none is said to run", () => {
    const ours = script("https://pay.example/checkout.js");
    expect(scriptOf(page(null, script(""), script("https://a.example/app.js"), ours))).toBe(ours);
    expect(scriptOf(page({ tagName: "IMG", src: "https://evil.example/checkout.js" }, ours))).toBe(ours);
  });

  it("may stand twice, but not point to two places", () => {
    const twice = ["https://pay.example/checkout.js", "https://pay.example/checkout.js?again"].map(script);
    expect(scriptOf(page(null, ...twice))?.src).toBe(twice[0]?.src);
    expect(scriptOf(page(null, ...twice, script("https://shop.example/checkout.js")))).toBeUndefined();
  });

  it("is no picture, though elements named `currentScript` and `scripts` take their places", () => {
    const picture = { tagName: "IMG", src: "https://evil.example/checkout.js" };
    expect(scriptOf(page(picture, picture, picture))).toBeUndefined();
    expect(scriptOf({ currentScript: picture, scripts: picture } as never)).toBeUndefined();
  });

  it("may be none", () => {
    expect(scriptOf(page(null))).toBeUndefined();
  });
});
