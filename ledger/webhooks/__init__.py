"""Webhooks: what can be subscribed to, where it may be sent, and how hard it is tried; workers.webhooks sends it."""
