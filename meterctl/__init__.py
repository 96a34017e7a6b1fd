"""meterctl: a prepaid-credit ledger and weekly usage meter for operators."""

__version__ = "0.1.0"
