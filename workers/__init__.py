"""Everything that runs behind the API.

The agent with its executors, the supervisor of the RQ workers, and the sweeper.
"""
