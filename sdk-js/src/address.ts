/** Where the SDK came from, and with it the hosted page. */

/** Filled in by the entry: each build learns its own address in its own way. */
export const source: { url: string; nonce: string | undefined } = { url: "", nonce: undefined };

/**
 * The hosted page beside the script: `https://pay.example/checkout.js` gives `https://pay.example/checkout`.
 * Undefined for any other script: a merchant's bundle says nothing about where the checkout is.
 */
export function pageBeside(script: string): string | undefined {
  const beside = /^(https?:\/\/[^?#]+\/)checkout(-[\w.]+)?\.m?js([?#]|$)/.exec(script);
  return beside && !/\/node_modules\//.test(script) ? beside[1] + "checkout" : undefined;
}

/**
 * The script element that brought us. A module or a bundle has no `currentScript`; then every script of the page that
 * could be ours must point to the same place. An element named "currentScript" is no script.
 */
export function scriptOf(page: Document): HTMLScriptElement | undefined {
  const current = page.currentScript as HTMLScriptElement | null;
  if (current?.tagName === "SCRIPT") return current;
  let found: HTMLScriptElement | undefined;
  for (let i = 0; i < page.scripts.length; i++) {
    const one = page.scripts[i] as HTMLScriptElement;
    // Other people's words on a shop's page may hold a picture that is named "scripts".
    const beside = one.tagName === "SCRIPT" && pageBeside(one.src);
    if (!beside) continue;
    if (found && pageBeside(found.src) !== beside) return undefined;
    found ??= one;
  }
  return found;
}
