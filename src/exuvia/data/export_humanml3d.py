"""Exporting a store in HumanML3D's official layout, for the loaders of MoMask, MDM, T2M-GPT and similar projects.

new_joint_vecs/ID.npy   [F, C]       features           Mean.npy, Std.npy   of the train clips, Std by channel group
new_joints/ID.npy       [F, J, 3]    their joints       train.txt, val.txt, test.txt, train_val.txt, all.txt
texts/ID.txt            text#word/POS ...#start#end
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.data.captions import Caption
from exuvia.data.store import SPLITS, Store
from exuvia.errors import DataError
from exuvia.features.normaliser import Normaliser
from exuvia.files import check_folder, whole_folder
from exuvia.text.tags import tag

FOLDER = "HumanML3D export"
"""Kind of the folder, for `files.check_folder`."""


def export_humanml3d(
    store: Store, out: str | Path, *, overwrite: bool = False, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write a store in HumanML3D's layout, and return the folder; an older export in it is replaced.

    Clips without captions are left out, since the official loaders fail on them. Statistics cover only the train clips
    (the official ones include the test set). `progress` is called with (clips done, clips in total) from time to time.

    Raises DataError if no train clip has a caption, OutputError if the folder holds something else or cannot be
    written.
    """
    rules: dict[str, Any] = {"overwrite": overwrite, "sources": [store.folder]}
    check_folder(out, FOLDER, **rules)
    chosen = [number for number, clip in enumerate(store.clips) if clip.captions]
    train = [number for number in chosen if store.clips[number].split == "train"]
    if not train:
        raise DataError(f"no train clip of {store.folder} has a caption, so there is nothing to export")
    names = flat_names([store.clips[number].id for number in chosen])
    with whole_folder(out, FOLDER, **rules) as folder:
        for part in ("new_joint_vecs", "new_joints", "texts"):
            (folder / part).mkdir()
        for done, (number, name) in enumerate(zip(chosen, names, strict=True), 1):
            clip, features, joints = store.clips[number], store.features(number), store.joints(number)
            if clip.frames != clip.rows:  # as many frames as features, as published
                joints = store.representation.recover(np.asarray(features))
            np.save(folder / "new_joint_vecs" / f"{name}.npy", features)
            np.save(folder / "new_joints" / f"{name}.npy", joints)
            lines = [caption_line(caption) for caption in clip.captions]
            (folder / "texts" / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            if progress is not None and (done % 256 == 0 or done == len(chosen)):
                progress(done, len(chosen))
        splits = [store.clips[number].split for number in chosen]
        lists = {split: [n for n, s in zip(names, splits, strict=True) if s == split] for split in SPLITS}
        lists["train_val"] = lists["train"] + lists["val"]
        lists["all"] = names
        for list_name, ids in lists.items():
            (folder / f"{list_name}.txt").write_text("".join(f"{name}\n" for name in ids), encoding="utf-8")
        features_of_train = (store.features(number) for number in train)
        normaliser = Normaliser.fit(features_of_train, store.representation.skeleton.num_joints)
        np.save(folder / "Mean.npy", normaliser.mean)
        np.save(folder / "Std.npy", normaliser.std)
    return Path(out)


def flat_names(ids: list[str]) -> list[str]:
    """Ids as file names: all but letters, digits, '.', '-' and '_' becomes '_', and duplicates get a number."""
    taken: set[str] = set(ids)
    names = []
    for clip_id in ids:
        name = flat = re.sub(r"[^A-Za-z0-9._-]", "_", clip_id)
        number = 2
        while name != clip_id and name in taken:
            name, number = f"{flat}-{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def caption_line(caption: Caption) -> str:
    """Line of a caption for the official loaders, with tags, and without '#' and '/' inside words."""
    text = " ".join(caption.text.replace("#", " ").split())
    tokens = caption.tokens or " ".join(f"{word}/{pos}" for word, pos in tag(text) if not set(word) & set("/# "))
    return Caption(text, tokens, caption.start_s, caption.end_s).line
