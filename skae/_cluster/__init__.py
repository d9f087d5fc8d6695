"""Many processes and machines: how they talk, and where a cluster's tables lie."""
