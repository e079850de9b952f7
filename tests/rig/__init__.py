"""What the tests run against: endpoints, a router in this process, callers."""
