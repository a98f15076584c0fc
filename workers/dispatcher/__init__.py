"""The dispatcher: decides for which run to ring next, and rings. It lives in the relay's process.

Everything here but `ringer.py` is pure: facts come in as the log has them, time as a number.
"""
