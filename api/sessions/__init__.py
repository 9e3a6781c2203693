"""Sessions of people in browsers: an opaque id in a cookie, everything else on the server, as JSON.

The id's 256 random bits are kept as their SHA-256 only. A session ends when it was idle too long, at its age, when its
user logs out, here or everywhere, or is deactivated. Where sessions live is a setting; see stores.
"""
