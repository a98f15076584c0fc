"""Connections to the API: how many there are, how long each may take, and who gives way.

Everybody can open some, without a token. So all of this comes before any route.
"""
