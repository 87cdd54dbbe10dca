"""Groups whose keys follow RFC 9420 although nobody puts their commits in order.

`lutra.groups.group.Group` is one device's replica. Authorisation, heads and validity are functions
of the set of known control operations; MLS commits only bring keys in line with them.
"""
