"""How results look to people: typed results become neutral blocks, and blocks are drawn on a terminal or as text.

`registry` knows a view for each kind of result, `blocks` is what views are made of, `terminal` and `paste` draw them.
Nothing here is loaded for a script that reads JSON.
"""
