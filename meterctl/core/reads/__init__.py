"""What is asked of a store and changes nothing.

`reads` answers for one org at a time, as it stands or stood; `explain` tells its whole story, with `lotstory` for what
became of each lot and `slices` for the balance over time; `orgs` lists many, `finding` finds entries without knowing
the org, `follow` waits for new ones, and `preview` says what a refund would do.
"""
