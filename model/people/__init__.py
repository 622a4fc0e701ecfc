"""People and their COCO keypoints in pictures."""
