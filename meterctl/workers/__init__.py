"""Work in several processes, because one Python process uses one core.

`backfill` books the lines of a file, `sweep` books due events, and `verify` checks orgs; the last two use `pool`. Only
a command with several workers imports them.
"""
