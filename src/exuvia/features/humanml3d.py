"""HumanML3D: 263 features of the 22-joint SMPL body at 20 fps.   Sec. 3 [guo2022humanml3d]"""

from exuvia.features.representation import Representation
from exuvia.motion.skeleton import SMPL22

HUMANML3D = Representation(
    "humanml3d", SMPL22, fps=20.0, facing=(2, 1, 17, 16), leg=(5, 8), feet=(7, 10, 8, 11), contact_threshold=0.002
)
