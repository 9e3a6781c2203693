"""The log for outsiders: a range of positions in formats that other people's tools read.

`export` drives; a module for each format writes; `source` reads the log.
"""
