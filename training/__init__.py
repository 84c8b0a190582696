"""How the compact model is made: from sounds that anyone can get, labelled by a teacher, to a bundle."""
