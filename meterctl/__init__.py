"""meterctl: a prepaid-credit ledger and weekly usage meter, run from the command line."""

__version__ = "0.1.0"
