"""Our own layouts in each store, and SynapseKit's, which some of them share."""
