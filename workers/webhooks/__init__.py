"""Webhooks: the log's events sent to who subscribed, in log order for each subscription, at least once."""
