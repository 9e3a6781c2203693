"""Posting over HTTP: real servers, a cheap closed-loop client, and the cells that put them together."""
