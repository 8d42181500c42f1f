"""Between uvicorn and the routes: the bounded HTTP protocol, middleware, security headers and disconnects."""
