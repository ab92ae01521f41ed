"""What paid, as much of it as people need to recognise it: `Visa •••• 4242`, `as••••@okaxis`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.payments import Payment

_BRANDS = {
    "visa": "Visa",
    "mastercard": "Mastercard",
    "rupay": "RuPay",
    "amex": "Amex",
    "diners": "Diners Club",
    "discover": "Discover",
    "jcb": "JCB",
    "maestro": "Maestro",
}
_FLOWS = {"collect": "UPI collect", "intent": "UPI link", "qr": "UPI QR code"}
_SHOWN = 2  # of a handle's characters


def masked(payment: Payment) -> str:
    """The card or the UPI address; of a payment by link or QR code, of which none is known, how it is paid."""
    if payment.card is not None:
        return f"{_BRANDS.get(payment.card.brand, payment.card.brand)} •••• {payment.card.last4}"
    if payment.vpa is not None:
        return masked_vpa(payment.vpa)
    return how(payment)


def masked_vpa(vpa: str) -> str:
    """A UPI address with two characters of its handle."""
    handle, _, provider = vpa.partition("@")
    return f"{handle[:_SHOWN]}••••@{provider}"


def how(payment: Payment) -> str:
    """The method in words."""
    return "Card" if payment.method == "card" else _FLOWS[payment.flow or "collect"]
