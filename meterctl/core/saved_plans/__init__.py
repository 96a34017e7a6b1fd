"""Saved plans: `planfile` writes and reads them, `apply` carries them out."""
