"""The mistakes that receivers make with signatures, each in words: what it is, and what to do about it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Reason = Literal[
    "ok",
    "headers_missing",
    "header_missing",
    "wrong_header",
    "version_missing",
    "signature_malformed",
    "signature_hex",
    "signature_base64",
    "signature_base64url",
    "signature_parts_missing",
    "signature_of_parsed_body",
    "algorithm_wrong",
    "body_empty",
    "body_bom",
    "body_charset",
    "body_whitespace",
    "body_encoded_twice",
    "body_reserialised",
    "body_truncated",
    "body_of_another_event",
    "body_changed",
    "secret_decorated",
    "secret_prefix_missing",
    "secret_old",
    "secret_of_another_endpoint",
    "secret_wrong",
    "signed_before_rotation",
    "key_is_text",
    "key_decoded_with_prefix",
    "key_is_hex",
    "key_decoded",
    "webhook_id_altered",
    "timestamp_milliseconds",
    "timestamp_altered",
    "timestamp_malformed",
    "id_or_timestamp_altered",
    "simple_signature_wrong",
    "timestamp_stale",
    "timestamp_future",
    "signature_mismatch",
    "signature_unknown",
]
"""What is wrong, for programs."""


class Words(NamedTuple):
    """A mistake as people read it."""

    description: str
    hint: str | None = None


_RAW = "verify the bytes as they arrived, before any JSON parsing: express.raw(), request.get_data(), php://input"
_KEY = "the key is what follows whsec_, base64-decoded; the public libraries take the secret as it is shown"

WORDS: Final[dict[Reason, Words]] = {
    "ok": Words("body, headers and secret fit together"),
    "headers_missing": Words(
        "there is no signature: neither webhook-signature nor X-Webhook-Signature is among the headers",
        "pass all headers of the request on; names may be in any case. A proxy may drop them",
    ),
    "header_missing": Words(
        "webhook-id, webhook-timestamp and webhook-signature belong together, and one of them is missing or empty",
        "pass all three on; the signature covers the id and the timestamp",
    ),
    "wrong_header": Words(
        "the two signatures are mixed up: webhook-signature (`v1,` and base64, over id.timestamp.body) and"
        " X-Webhook-Signature (hex, over the body alone, the secret's text as key)",
        "compare each with its own recipe; Standard Webhooks libraries want webhook-signature",
    ),
    "version_missing": Words(
        "webhook-signature lacks its version: entries are `v1,<base64>`, separated by spaces",
        "pass the header's whole value; something has split it at the comma",
    ),
    "signature_malformed": Words(
        "the signature is neither base64 nor hex of an HMAC-SHA256; it may have been cut",
        "pass the header's whole value",
    ),
    "signature_hex": Words("the signature is right but in hex; webhook-signature is base64", "encode it as base64"),
    "signature_base64": Words("the signature is right but in base64; X-Webhook-Signature is hex", "encode it as hex"),
    "signature_base64url": Words(
        "the signature is right but not in standard base64", "use + and / and the padding =, not the URL alphabet"
    ),
    "signature_parts_missing": Words(
        "what was signed is not `{webhook-id}.{webhook-timestamp}.{body}`: parts are missing",
        "put id, timestamp and body together with full stops between them",
    ),
    "signature_of_parsed_body": Words(
        "what was signed is not the body but how the language prints an object: `[object Object]`, or b'…'", _RAW
    ),
    "algorithm_wrong": Words("the signature is no HMAC-SHA256 but another hash of the right things", "use HMAC-SHA256"),
    "body_empty": Words("the body is empty: something has read the stream before", _RAW),
    "body_bom": Words("the body begins with a byte order mark that was not sent", _RAW),
    "body_charset": Words("the body was read in another character set than UTF-8 and written anew", _RAW),
    "body_whitespace": Words(
        "the body has white space around it that was not sent, such as a newline at the end", _RAW
    ),
    "body_encoded_twice": Words("the body is a string that holds the body: it was encoded once too often", _RAW),
    "body_reserialised": Words("the body was parsed and written anew: the same JSON, other bytes", _RAW),
    "body_truncated": Words("the body ends too early: only its beginning is there", "read it to its Content-Length"),
    "body_of_another_event": Words(
        "the body is another event's than webhook-id says", "take body and headers of the same request"
    ),
    "body_changed": Words("the body is not what was sent", _RAW),
    "secret_decorated": Words(
        "the secret has quotes or white space around it",
        "trim it where it is read: a newline of a file, quotes of an .env",
    ),
    "secret_prefix_missing": Words(
        "the secret lacks its whsec_; X-Webhook-Signature is keyed with the secret's whole text",
        "use the secret as shown",
    ),
    "secret_old": Words("the secret was replaced, and its overlap is over or did not cover this delivery", None),
    "secret_of_another_endpoint": Words(
        "the secret is another endpoint's than the one that this was sent to", "each endpoint has a secret of its own"
    ),
    "secret_wrong": Words(
        "the secret is none of yours: the signature is right with the endpoint's own",
        "read the secret anew: GET /webhooks/secret, or /webhook-endpoints/{id}/secret",
    ),
    "signed_before_rotation": Words(
        "this was signed with the secret before, which was replaced since; the body is right",
        "nothing, if it came before you changed the secret; a retry is signed anew",
    ),
    "key_is_text": Words("the secret's text was the key", _KEY),
    "key_decoded_with_prefix": Words("the secret was decoded together with its whsec_", _KEY),
    "key_is_hex": Words("the secret was decoded as hex", _KEY),
    "key_decoded": Words(
        "X-Webhook-Signature was computed with the decoded secret", "its key is the secret's text, whsec_ included"
    ),
    "webhook_id_altered": Words(
        "webhook-id is not the one that was signed, which is the event's (evt_…), and not the delivery's (dlv_…)",
        "pass webhook-id on as it came; X-Webhook-Id is another",
    ),
    "timestamp_milliseconds": Words(
        "webhook-timestamp is not in seconds", "pass it on as it came; compare it with unix seconds"
    ),
    "timestamp_altered": Words("webhook-timestamp is not the one that was signed", "pass it on as it came"),
    "timestamp_malformed": Words("webhook-timestamp is not a number of unix seconds", "pass it on as it came"),
    "id_or_timestamp_altered": Words(
        "body and secret are right, since X-Webhook-Signature is; webhook-id, webhook-timestamp or webhook-signature is"
        " not what was sent",
        "pass the three on as they came, all of one request",
    ),
    "simple_signature_wrong": Words(
        "webhook-signature is right, X-Webhook-Signature is not; a library that looks at the first alone accepts this",
        "pass it on as it came",
    ),
    "timestamp_stale": Words(
        "the signature is right, and older than the tolerance: a replay, a queue in between, or a clock that is ahead",
        "verify as it arrives, keep the clock in step (NTP); of a past delivery, say when it was received",
    ),
    "timestamp_future": Words(
        "the signature is right, and from the future: the receiver's clock is behind", "keep the clock in step (NTP)"
    ),
    "signature_mismatch": Words(
        "the signature does not fit: the secret is another one, or the body is not what was sent, in no known way",
        "compare the secret; " + _RAW,
    ),
    "signature_unknown": Words(
        "none of your secrets makes this signature, in no known way: it was altered, or Ledgate did not send this",
        "compare with the attempt's request_headers in GET /webhooks/{id}",
    ),
}
