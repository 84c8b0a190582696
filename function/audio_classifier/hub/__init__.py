"""Find, download, verify and cache model bundles."""
