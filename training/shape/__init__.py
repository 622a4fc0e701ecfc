"""How the network of shapes is trained: dressed people as BlazePose draws their silhouettes."""
