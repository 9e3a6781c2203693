"""Several database servers that hold the same log, of which one is written to: which one, and connections to it."""

from ledger.nodes.cluster import Cluster, cluster_of

__all__ = ["Cluster", "cluster_of"]
