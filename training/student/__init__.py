"""The student network: training, quantisation, export and the attention head."""
