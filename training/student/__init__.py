"""The student: training of the embedding network and the head, quantisation, export and the bundle."""
