"""An amount as people read it: ₹1,29,900.00, $12.50, ¥500."""

from __future__ import annotations

_SYMBOLS = {
    "AED": "AED ", "AUD": "A$", "BDT": "৳", "CAD": "CA$", "CHF": "CHF ", "CNY": "CN¥", "EUR": "€", "GBP": "£",
    "HKD": "HK$", "IDR": "Rp ", "INR": "₹", "JPY": "¥", "KRW": "₩", "LKR": "LKR ", "MYR": "RM ", "NPR": "NPR ",
    "NZD": "NZ$", "PHP": "₱", "SGD": "S$", "THB": "฿", "USD": "$", "VND": "₫",
}  # fmt: skip
# ISO 4217 list one: where the minor unit is not a hundredth.
_DIGITS = dict.fromkeys(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(),  # noqa: SIM905 - a table, not code
    0,
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
_SOUTH_ASIAN = frozenset({"BDT", "INR", "LKR", "NPR", "PKR"})


def shown(amount: int, currency: str) -> str:
    """An amount with its currency's symbol, or its code; digits are grouped as where the money is used.

    Args:
        amount: minor units.
        currency: ISO 4217.
    """
    digits = _DIGITS.get(currency, 2)
    whole, part = divmod(amount, 10**digits)
    fraction = f".{part:0{digits}}" if digits else ""
    # A no-break space: symbol and amount stay on one line.
    symbol = _SYMBOLS.get(currency, f"{currency} ").replace(" ", "\N{NO-BREAK SPACE}")
    return f"{symbol}{_grouped(whole, currency)}{fraction}"


def _grouped(whole: int, currency: str) -> str:
    if currency not in _SOUTH_ASIAN:
        return f"{whole:,}"
    rest, last = divmod(whole, 1000)
    if not rest:
        return str(last)
    groups = [f"{last:03}"]
    while rest >= 100:  # noqa: PLR2004 - lakh and crore: two digits a group
        rest, two = divmod(rest, 100)
        groups.append(f"{two:02}")
    return ",".join([str(rest), *reversed(groups)])
