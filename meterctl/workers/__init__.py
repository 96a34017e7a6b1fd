"""Work in several processes: Python decides and checks on one core per process, so more of them get more done.

`lines` books the lines of a file, `sweep` what is due at pages of orgs, and `verify` checks orgs; the last two stand on
the processes of `pool`. Nobody but a command with ``--workers`` loads any of them.
"""
