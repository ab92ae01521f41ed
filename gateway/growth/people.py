"""Who buys what: customers with their ways to pay, prices, words. Nobody here exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random

FIRST = (
    "Aarav", "Aditi", "Ananya", "Arjun", "Deepa", "Divya", "Farhan", "Gauri", "Harsh", "Ishaan", "Jaya", "Kabir",
    "Kavya", "Lakshmi", "Manoj", "Meera", "Naveen", "Neha", "Nikhil", "Pooja", "Pranav", "Priya", "Rahul", "Ravi",
    "Rohan", "Sana", "Sanjay", "Shreya", "Sneha", "Tanvi", "Uday", "Varun", "Vidya", "Vikram", "Yusuf", "Zoya",
)  # fmt: skip
LAST = (
    "Agarwal", "Bhat", "Chatterjee", "Das", "Desai", "Fernandes", "Gupta", "Hegde", "Iyer", "Jain", "Joshi", "Kapoor",
    "Khan", "Kulkarni", "Menon", "Mehta", "Nair", "Patel", "Pillai", "Rao", "Reddy", "Sharma", "Shetty", "Singh",
    "Thomas", "Varma",
)  # fmt: skip
CITIES = ("Bengaluru", "Chennai", "Delhi", "Hyderabad", "Jaipur", "Kochi", "Kolkata", "Mumbai", "Pune", "Surat")
BANKS = ("okaxis", "okhdfcbank", "okicici", "oksbi", "paytm", "ybl", "ibl", "apl", "upi")
CHANNELS = ("web", "web", "app", "app", "app", "whatsapp", "store")
BRANDS = ("visa", "visa", "visa", "mastercard", "mastercard", "rupay", "rupay", "amex")

PRICES = (
    14900, 19900, 24900, 29900, 34900, 39900, 49900, 49900, 59900, 69900, 79900, 89900, 99900, 119900, 129900,
    149900, 179900, 199900, 249900, 299900, 399900, 549900, 799900, 1299900,
)  # fmt: skip
"""In paise; the cheap ones are bought more often."""
ABROAD = (1900, 2400, 2900, 3900, 4900, 7900, 12900)
"""In cents."""

REASONS = (
    "Customer request", "Item out of stock", "Arrived damaged", "Wrong size", "Ordered twice", "Late delivery",
    "Goodwill", None,
)  # fmt: skip
"""Why money goes back, in the merchant's words."""

DECLINES = {
    "upi": (
        ("payment_declined", "The payer's bank declined the payment", 55),
        ("insufficient_funds", "The account has not enough money", 30),
        ("payment_timed_out", "The payer did not approve the request in time", 15),
    ),
    "card": (
        ("card_declined", "The card was declined by its issuer", 45),
        ("insufficient_funds", "The account has not enough money", 27),
        ("cvv_incorrect", "The issuer says that the CVV is wrong", 16),
        ("card_expired", "The issuer says that the card has expired", 12),
    ),
}
"""Method -> code, description, weight."""

# How much is bought in each hour of a day in India: lunch, and the evening before bed.
HOURS = (14, 7, 4, 2, 2, 4, 10, 22, 38, 52, 64, 72, 78, 74, 66, 62, 64, 70, 80, 92, 100, 96, 70, 36)
DAYS = (1.0, 1.0, 1.02, 1.04, 1.08, 0.78, 0.66)
"""From Monday to Sunday."""


class Customer(NamedTuple):
    """Somebody who buys."""

    name: str
    city: str
    vpa: str
    brand: str
    last4: str
    likes_cards: bool


def customer(chance: Random) -> Customer:
    """Make somebody up."""
    first, last = chance.choice(FIRST), chance.choice(LAST)
    handle = chance.choice(
        (f"{first}.{last}", f"{first}{chance.randrange(100)}", f"{last}{first[0]}{chance.randrange(1000)}",
         f"9{chance.randrange(10**8, 10**9)}"),
    ).lower()  # fmt: skip
    return Customer(
        f"{first} {last}",
        chance.choice(CITIES),
        f"{handle}@{chance.choice(BANKS)}",
        chance.choice(BRANDS),
        f"{chance.randrange(10_000):04}",
        chance.random() < 0.24,  # noqa: PLR2004 - a taste
    )


def price(chance: Random) -> int:
    """What an order in rupees costs, in paise."""
    amount = sum(
        PRICES[min(int(chance.expovariate(0.16)), len(PRICES) - 1)] for _ in range(chance.choice((1, 1, 1, 2, 3)))
    )
    return amount if amount >= 99900 else amount + chance.choice((0, 4900, 7900))  # noqa: PLR2004 - delivery is free from there


def declined(chance: Random, method: str) -> tuple[str, str]:
    """Why a bank says no: code and description."""
    found = DECLINES[method]
    ((code, description, _),) = chance.choices(found, [weight for _, _, weight in found])
    return code, description
