"""Convert IBM's and Google's published artifacts to a bundle, at build time only (extra ``convert``)."""
