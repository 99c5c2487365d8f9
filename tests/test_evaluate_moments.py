"""Violence by the moment: strikes stand out from what surrounds them, and every frame has a score."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.features.humanml3d import HUMANML3D
from exuvia.judges.moments import WINDOW, violence_by_frame
from exuvia.judges.shipped import shipped_detector
from exuvia.synthetic.catalogue import FRAME_LABELS, VIOLENT_FRAME_LABELS
from exuvia.synthetic.dataset import synthesise

DETECTOR = shipped_detector()


def test_strikes_stand_out_from_the_rest_of_their_clip() -> None:
    violent = np.isin(np.arange(len(FRAME_LABELS)), [FRAME_LABELS.index(name) for name in VIOLENT_FRAME_LABELS])
    inside, outside = [], []
    for made in synthesise(60, seed=11):
        labels = violent[made.frame_labels[:-1]]
        if 10 <= labels.sum() <= 0.6 * len(labels):
            scores = violence_by_frame(DETECTOR, HUMANML3D.encode([made.clip.joints])[0])
            inside.append(scores[labels].mean())
            outside.append(scores[~labels].mean())
    assert len(inside) >= 8
    assert np.mean(np.array(inside) > np.array(outside)) > 0.8
    assert np.mean(inside) > np.mean(outside) + 0.1


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(4, 90))
def test_every_frame_has_a_probability(frames: int) -> None:
    rows = np.random.default_rng(frames).normal(0, 0.1, (frames, 263)).astype(np.float32)
    scores = violence_by_frame(DETECTOR, rows)
    assert scores.shape == (frames,)
    assert ((scores >= 0) & (scores <= 1)).all()
    if frames <= WINDOW:
        np.testing.assert_allclose(scores, DETECTOR.violence_probability([rows])[0])
