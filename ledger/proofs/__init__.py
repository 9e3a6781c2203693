"""Proofs for outsiders: a Merkle tree over the log's leaves, signed checkpoints of it, and proofs of single events."""
