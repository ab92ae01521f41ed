"""Money is an integer in minor units and an ISO 4217 code."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

MAX_AMOUNT = 2**53 - 1
"""Minor units; the largest integer that every JSON reader keeps exactly."""

Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT, description="Minor units (paise)", examples=[50000])]
CURRENCIES = frozenset(
    """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD
    MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB
    RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG""".split()  # noqa: SIM905 - a table, not code
)
"""ISO 4217 list one: the currencies in use, without funds, metals and test codes."""

Currency = Annotated[
    str,
    Meta(
        pattern="^[A-Z]{3}$",
        description="ISO 4217 code",
        examples=["INR"],
        extra_json_schema={"enum": sorted(CURRENCIES)},
    ),
]
