"""Synthesis of clips: by physical models, with sampled instruments, and with a speech synthesiser."""
