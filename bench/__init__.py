"""What meterctl costs, beside what it could cost at least: run ``python -m bench``."""
