"""Files of weights, bodies, meshes and arrays, read without running any code of theirs."""
