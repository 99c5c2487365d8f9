"""KIT-ML: 251 features of the 21-joint KIT body at 12.5 fps, millimetres.   momask-codes, utils/motion_process.py

The contact threshold has no unit in the published code. On data in millimetres it detects contact only when the foot
hardly moves.
"""

from exuvia.features.representation import Representation
from exuvia.motion.skeleton import KIT21

KIT = Representation(
    "kit", KIT21, fps=12.5, facing=(11, 16, 5, 8), leg=(17, 18), feet=(19, 20, 14, 15), contact_threshold=0.05
)
