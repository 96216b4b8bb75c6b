"""How generate.py finds and runs the tasks of a method."""
