"""The FastAPI application and its pages."""
