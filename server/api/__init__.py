"""The HTTP API: routes, schemas, problem details, OpenAPI and what surrounds every request."""
