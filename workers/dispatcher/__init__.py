"""The dispatcher: which run to wake up next. It lives in the relay's process.

Everything here but `publisher.py` is pure: facts come in as the log has them, time as a number.
"""
