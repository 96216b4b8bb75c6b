"""A rendered inspection station: boards with a die, parts and epoxy, nine classes of defects, and the optics that look at them."""
