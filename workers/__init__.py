"""Everything that runs behind the API: the agent with its executors, the supervisor of the RQ workers, and the sweeper."""
