"""From pictures to what the network reads and back: crops, edges, cameras, rendering."""
