"""The names of axes, and aliases of array types.

B batch · F frames · J joints · C feature channels · T code steps · Q quantiser levels · V codebook size ·
D width · E text or inner width · N state · S text tokens. `valid_BF` is True where a frame is real.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]  # of any axes and either precision
Floats = NDArray[np.float32]
Joints = NDArray[np.float32]  # [F, J, 3] or [B, F, J, 3], metres, y up
Features = NDArray[np.float32]  # [F, C] or [B, F, C], mixed units: see features/
Mask = NDArray[np.bool_]  # True where real
