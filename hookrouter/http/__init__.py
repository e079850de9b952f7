"""An HTTP client that knows whether a request was sent, and retries in the process."""
