/** What the dialog itself says; the frame has a catalogue of its own. */

const EN = {
  lang: "en",
  title: "Payment",
  frame: "Payment form",
  close: "Close",
  loading: "Loading the payment form…",
  silent: "The payment form did not load. Check your connection, then try again.",
  retry: "Try again",
};

const HI: typeof EN = {
  lang: "hi",
  title: "भुगतान",
  frame: "भुगतान फ़ॉर्म",
  close: "बंद करें",
  loading: "भुगतान फ़ॉर्म खुल रहा है…",
  silent: "भुगतान फ़ॉर्म नहीं खुला। अपना कनेक्शन जाँचें, फिर दोबारा कोशिश करें।",
  retry: "दोबारा कोशिश करें",
};

/** For a language tag such as `hi-IN`. */
export function strings(language: string): typeof EN {
  return /^hi\b/i.test(language) ? HI : EN;
}
