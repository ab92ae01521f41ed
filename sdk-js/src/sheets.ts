/** Styles that a strict policy (CSP) allows: constructed sheets, else a style element with the page's nonce. */

type Styled = Document | ShadowRoot;

interface Added {
  /** The sheet; null for a style element that is in no page yet. */
  readonly sheet: () => CSSStyleSheet | null;
  readonly remove: () => void;
}

/** Add rules to a document or shadow root; the sheet, and how to take it away without touching the page's own. */
export function addSheet(to: Styled, css: string, nonce: string | undefined): Added {
  try {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    setSheets(to, sheet, true);
    return { sheet: () => sheet, remove: () => setSheets(to, sheet, false) };
  } catch {
    const style = document.createElement("style");
    if (nonce) style.nonce = nonce;
    style.textContent = css;
    ("head" in to ? to.documentElement : to).appendChild(style);
    return { sheet: () => style.sheet, remove: () => style.remove() };
  }
}

/** Anew each time: the page may have changed the list while we were open. */
function setSheets(to: Styled, ours: CSSStyleSheet, present: boolean): void {
  const sheets: CSSStyleSheet[] = [];
  const now = to.adoptedStyleSheets;
  for (let i = 0; i < now.length; i++) if (now[i] !== ours) sheets[sheets.length] = now[i] as CSSStyleSheet;
  if (present) sheets[sheets.length] = ours;
  to.adoptedStyleSheets = sheets;
}

/**
 * Hold the page still, by a rule and not by the page's attributes; undone by the function that comes back.
 *
 * The viewport takes its overflow from `html`, or from `body` where `html` has none; whoever gives it must go on giving
 * it, or the body becomes a box that scrolls by itself and the page jumps to its top. The gutter keeps the scrollbar's
 * room, so nothing moves sideways.
 */
export function lockScroll(nonce: string | undefined): () => void {
  const root = document.documentElement;
  const visible = (element: Element) => getComputedStyle(element).overflow === "visible";
  const body = document.body as HTMLElement | null;
  const giver = body && visible(root) && !visible(body) ? "body" : ":root";
  const gutter = innerWidth > root.clientWidth ? `:root${HARD}{scrollbar-gutter:stable!important}` : "";
  return addSheet(document, `${giver}${HARD}{overflow:hidden!important}${gutter}`, nonce).remove;
}

/** Weighs as much as two ids, so that a page's own `!important` on a class does not win. */
const HARD = ":not(#\\_):not(#\\_)";
