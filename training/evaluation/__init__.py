"""How well a bundle agrees with its teacher."""
