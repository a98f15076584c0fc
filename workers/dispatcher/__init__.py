"""The dispatcher: decides for which run to ring next, and is sent. It lives in the relay's process.

Everything here but `publisher.py` is pure: facts come in as the log has them, time as a number.
"""
