"""The viewer: a page in which a graph is explored, one file that needs no network and no other file."""
