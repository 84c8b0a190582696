"""Sounds that are computed: by physics, by sampled instruments, by a speech synthesiser."""
