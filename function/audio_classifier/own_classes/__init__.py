"""Train a head for one's own classes on the embeddings of a bundle."""
