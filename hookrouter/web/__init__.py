"""The router's own HTTP: health, metrics, control API, dashboard, inbound ARI sockets."""
