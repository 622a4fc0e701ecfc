"""Stage `refine`: each person's body moved onto the keypoints found."""

from __future__ import annotations

from hierprob3d.model.estimate.refinement import refine_bodies
from hierprob3d.model.picture.cameras import image_to_crop, pixels_to_normalised
from hierprob3d.transforms.batch.isolation import Columns, People
from hierprob3d.transforms.batch.models import Models
from hierprob3d.transforms.tables.schema import refined_name

from .distributions import person_parameters, place_bodies, visible_keypoints

REFINE = "refine"
MAY_BE_NAN = (refined_name("reprojection_px"),)
"""A person without a visible keypoint has no reprojection error; its body stays the mode's."""


def refine_people(people: People, models: Models, keypoint_error: float) -> Columns:
    """Columns of the refined bodies: parameters, mesh and joints, their place in the picture.

    Args:
        people: With the columns of the distribution.
        models: Body model and visibility threshold.
        keypoint_error: See `model.estimate.refinement.refine_bodies`.
    """
    parameters = person_parameters(people)
    keypoints, visible = visible_keypoints(people, models.threshold, models.device)
    crop = parameters.crop.to(models.device)[:, None]
    keypoints = pixels_to_normalised(image_to_crop(keypoints, crop, 1.0), 1.0)
    bodies = refine_bodies(parameters, keypoints, visible, models.keypoint_body, keypoint_error)
    columns = bodies._asdict() | place_bodies(people, models, bodies)
    return {refined_name(name): values for name, values in columns.items()}
