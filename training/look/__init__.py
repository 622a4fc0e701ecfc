"""How synthetic people look: clothes, light, backgrounds, occlusion."""
