"""Pictures of graphs, drawn from the networkx view."""
