"""The body model: skeleton, mesh, keypoints, measurements."""
