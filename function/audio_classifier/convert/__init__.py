"""Build time only: turns IBM's and Google's published artifacts into a bundle (extra ``convert``)."""
