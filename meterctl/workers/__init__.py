"""Work in several processes, because Python uses one core per process.

`backfill` books the lines of a file, `sweep` books due events by pages of orgs, and `verify` checks orgs; the last two
use the processes of `pool`. Only a command with ``--workers`` loads them.
"""
