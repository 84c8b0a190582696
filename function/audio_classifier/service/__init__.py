"""Code that all entry points share: settings, the loaded classifier, requests and stored results."""
