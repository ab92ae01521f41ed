// Cards and UPI addresses as they are typed: brand, grouping, and whether they can be right. The server checks again.

const BRANDS = [
  // ISO/IEC 7812 issuer ranges as gateway/instruments.py has them, first match wins
  { name: "rupay", label: "RuPay", start: /^(508[5-9]|6069|607|6080|652[1-9]|6530|81|82)/, sizes: [16] },
  { name: "visa", label: "Visa", start: /^4/, sizes: [13, 16, 19] },
  { name: "mastercard", label: "Mastercard", start: /^(5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, sizes: [16] },
  { name: "amex", label: "American Express", start: /^3[47]/, sizes: [15], groups: [4, 6, 5], cvv: 4 },
  { name: "diners", label: "Diners Club", start: /^(30[0-5]|36|38|39)/, sizes: [14, 16, 19], groups: [4, 6, 4] },
  { name: "discover", label: "Discover", start: /^(6011|64[4-9]|65)/, sizes: [16, 19] },
  { name: "jcb", label: "JCB", start: /^35(2[89]|[3-8])/, sizes: [16, 19] },
  { name: "maestro", label: "Maestro", start: /^(50|5[6-9]|6)/, sizes: [12, 13, 14, 15, 16, 17, 18, 19] },
];
const UNKNOWN = { name: "unknown", label: "", sizes: [12, 13, 14, 15, 16, 17, 18, 19] };
const VPA = /^[A-Za-z0-9][A-Za-z0-9._-]{1,255}@[A-Za-z][A-Za-z0-9]{1,63}$/;

export const digitsOf = (text) => text.replace(/\D/g, "");

export function brandOf(number) {
  return BRANDS.find((brand) => brand.start.test(number)) || UNKNOWN;
}

export const cvvDigits = (number) => brandOf(number).cvv || 3;

/** Digits in the groups that stand on the card. */
export function grouped(number) {
  const brand = brandOf(number);
  const digits = number.slice(0, Math.max(...brand.sizes));
  const groups = brand.groups && digits.length <= brand.groups.reduce((a, b) => a + b) ? brand.groups : [4, 4, 4, 4, 3];
  const parts = [];
  let at = 0;
  for (const size of groups) {
    if (at >= digits.length) break;
    parts.push(digits.slice(at, at + size));
    at += size;
  }
  return parts.join(" ");
}

export function luhn(number) {
  let sum = 0;
  for (let i = 0; i < number.length; i++) {
    let digit = Number(number[number.length - 1 - i]);
    if (i % 2) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 === 0;
}

/** What is wrong with a number, as a text's name; nothing when it can be right. */
export function numberFault(number) {
  if (!number) return "number_missing";
  const { sizes } = brandOf(number);
  const most = Math.max(...sizes);
  if (sizes.includes(number.length) && luhn(number)) return "";
  // Longer ones are rare: whole as most cards are, it is told at once that a digit is wrong, and not only at 19.
  const whole = number.length >= 16 || (number.length >= 14 && sizes.length < 5 && sizes.includes(number.length));
  return number.length >= most || (whole && sizes.includes(number.length)) ? "number_invalid" : "number_short";
}

/** Month and year of what was typed: `8/29`, `08 / 29`, `08 / 2029`, `0829`. */
export function expiryOf(text) {
  const [first, second] = text.split("/").map(digitsOf);
  if (second !== undefined) return { month: Number(first), year: yearOf(second) };
  return { month: Number(first.slice(0, 2)), year: yearOf(first.slice(2)) };
}

const yearOf = (digits) => (digits.length === 2 ? 2000 + Number(digits) : digits.length === 4 ? Number(digits) : NaN);

export function expiryFault(text, now = new Date()) {
  if (!digitsOf(text)) return "expiry_missing";
  const { month, year } = expiryOf(text);
  if (!(month >= 1 && month <= 12) || !(year <= now.getUTCFullYear() + 50)) return "expiry_invalid";
  const left = (year - now.getUTCFullYear()) * 12 + month - (now.getUTCMonth() + 1);
  return left < 0 ? "card_expired" : "";
}

/** `MM / YY` while it is typed. The slash comes by itself, except where somebody is deleting. */
export function expiryShown(text, deleting) {
  let digits = digitsOf(text);
  const slash = text.indexOf("/");
  if (slash >= 0 && digitsOf(text.slice(0, slash)).length === 1) digits = "0" + digits;
  else if (/^[2-9]/.test(digits)) digits = "0" + digits;
  const month = digits.slice(0, 2);
  let year = digits.slice(2, 6);
  if (year.length === 4 && year.startsWith("20")) year = year.slice(2);
  else if (year.length > 2 && !year.startsWith("20")) year = year.slice(0, 2);
  if (month.length < 2) return month;
  return year || !deleting ? `${month} / ${year}` : month;
}

export function vpaFault(text) {
  if (!text) return "vpa_missing";
  return VPA.test(text) ? "" : "vpa_invalid";
}
