"""What others read of us: JSON Schema and OpenAPI, made from the definitions."""
