"""Ways to run the server."""
