"""Show results to people: a view turns a typed result into neutral blocks, which are drawn on a terminal or as text.

`registry` finds the view of a result, `blocks` defines the parts of a view, and `terminal`, `paste` and `page` draw
them. Nothing here is loaded for a script that reads JSON.
"""
