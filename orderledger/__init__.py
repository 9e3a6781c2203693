"""Put the parts together: the command line and the whole service in one process group."""
