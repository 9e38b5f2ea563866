"""Fingerprints recorded at commit 63946f6: data that was right then has the same bits, so its runs keep their ids."""

import csv

import numpy as np
import pytest

from ravine.data import from_arrays, load, parse_data


def _uniform(shape, seed=0):
    """Numbers that no NumPy version changes: raw output of PCG64."""
    return (np.random.PCG64(seed).random_raw(int(np.prod(shape))) >> 11).reshape(shape) * 2.0**-53


def _bytes(shape, seed=0):
    return (np.random.PCG64(seed).random_raw(int(np.prod(shape))) >> 56).astype(np.uint8).reshape(shape)


def _rows(count=60):
    x = _uniform((count, 2))
    colours = ["red", "green", "blue"]
    header = ["size", "width", "colour", "code", "y"]
    return [
        header,
        *(
            [f"{x[i, 0]:.6f}", f"{x[i, 1] * 100:.2f}", colours[i % 3], 100 + i % 4, "ny"[i // 3 % 2]]
            for i in range(count)
        ),
    ]


def _write(folder, rows, name="t.csv", delimiter=","):
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return str(path)


def _csv(folder, rows, delimiter=",", **options):
    path = _write(folder, rows, delimiter=delimiter)
    return load(parse_data({"kind": "csv", "path": path, "target": "y", **options}))


def _with_target(values):
    rows = _rows(len(values))
    return [rows[0], *([*row[:-1], value] for row, value in zip(rows[1:], values, strict=True))]


def _holes(rows):
    rows[3][0] = rows[7][0] = "NA"
    rows[5][2] = rows[20][2] = ""
    rows[9][3] = "?"
    return rows


def _parquet(folder, **options):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x = _uniform((60, 2))
    table = pyarrow.table(
        {
            "size": x[:, 0],
            "whole": pyarrow.array([None, *range(1, 60)], pyarrow.int32()),
            "narrow": x[:, 1].astype(np.float32),
            "name": pyarrow.array([["u", "v", None][i % 3] for i in range(60)]).dictionary_encode(),
            "flag": [i % 3 == 0 for i in range(60)],
            "y": [i // 2 % 2 for i in range(60)],
        }
    )
    parquet.write_table(table, folder / "t.parquet")
    spec = {"kind": "parquet", "path": str(folder / "t.parquet"), "target": "y", "missing": "impute"}
    return load(parse_data({**spec, **options}))


def _npz(folder, **arrays):
    np.savez(folder / "t.npz", **arrays)
    return load(parse_data({"kind": "npz", "path": str(folder / "t.npz")}))


def _images(folder, shape=(6, 5, 3), parts=("",), **options):
    image = pytest.importorskip("PIL.Image")
    for number, part in enumerate(parts):
        for label in ("cat", "dog"):
            pixels = _bytes((10, *shape), seed=number + (label == "dog") * 10)
            (folder / "pets" / part / label).mkdir(parents=True)
            for i, picture in enumerate(pixels):
                image.fromarray(picture).save(folder / "pets" / part / label / f"{i}.png")
    return load(parse_data({"kind": "images", "path": str(folder / "pets"), **options}))


def _frame(module, **options):
    library = pytest.importorskip(module)
    x = _uniform((60, 2))
    frame = library.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1].astype(np.float32),
            "name": [["u", "v", "w"][i % 3] for i in range(60)],
            "code": [10 + i % 5 for i in range(60)],
            "flag": [i % 2 == 0 for i in range(60)],
        }
    )
    y = library.Series([["no", "yes"][i // 2 % 2] for i in range(60)])
    return from_arrays(frame, y, **options)


def _holed(module):
    library = pytest.importorskip(module)
    x = _uniform((60,)).tolist()
    frame = library.DataFrame({"a": [None, *x[1:]], "name": [["u", "v", None][i % 3] for i in range(60)]})
    return from_arrays(frame, library.Series([i % 2 for i in range(60)]), missing="impute")


X, Y3 = _uniform((60, 3)), np.arange(60) % 3

CASES = {
    "digits": lambda _: load(parse_data("digits")),
    "wine": lambda _: load(parse_data("wine")),
    "breast_cancer": lambda _: load(parse_data("breast_cancer")),
    "iris": lambda _: load(parse_data({"kind": "iris", "limit": 50, "split_seed": 3})),
    "diabetes": lambda _: load(parse_data("diabetes")),
    "csv": lambda f: _csv(f, _rows()),
    "csv semicolon, seed, plain": lambda f: _csv(f, _rows(), ";", split_seed=4, normalize="none"),
    "csv categorical": lambda f: _csv(f, _rows(), categorical=["code"], drop=["width"]),
    "csv imputed": lambda f: _csv(f, _holes(_rows()), missing="impute"),
    "csv dropped": lambda f: _csv(f, _holes(_rows()), missing="drop"),
    "csv test": lambda f: _csv(f, _rows(), test_path=_write(f, _rows(10), "test.csv")),
    "csv whole": lambda f: _csv(f, _with_target([i % 3 + 8 for i in range(60)])),
    "csv signed": lambda f: _csv(f, _with_target(["+1", "-1"] * 30)),
    "csv decimals as classes": lambda f: _csv(f, _with_target(["1.0", "2.50"] * 30), task="classification"),
    "csv numbers and words": lambda f: _csv(f, _with_target(["1", "2", "none"] * 20), task="classification"),
    "csv regression": lambda f: _csv(f, _with_target([f"{v:.5f}" for v in _uniform(60, 9)])),
    "csv decimal comma": lambda f: _csv(
        f, [[str(cell).replace(".", ",") for cell in row] for row in _rows()], ";", decimal=","
    ),
    "parquet": _parquet,
    "parquet plain": lambda f: _parquet(f, normalize="none", split_seed=2),
    "npz": lambda f: _npz(f, x=X, y=Y3),
    "npz float32 y": lambda f: _npz(f, x_train=X.astype(np.float32), y_train=X[:, 0].astype(np.float32)),
    "npz test": lambda f: _npz(f, x=X, y=Y3, x_test=X[::2], y_test=Y3[::2], x_val=X[:9], y_val=Y3[:9]),
    "npz bytes": lambda f: _npz(f, x=_bytes((60, 5, 4, 3)), y=np.array(["a", "b"])[Y3 % 2]),
    "npz grey": lambda f: _npz(f, x=_bytes((60, 5, 4)), y=Y3.astype(np.uint8)),
    "images": _images,
    "images grey, size": lambda f: _images(f, (6, 5), size=4),
    "images standard": lambda f: _images(f, normalize="standard"),
    "images split": lambda f: _images(f, parts=("train", "val", "test"), normalize="none"),
    "arrays bool": lambda _: from_arrays(X, Y3 == 1),
    "arrays channel": lambda _: from_arrays(_uniform((60, 2, 3, 3)).astype(np.float32), Y3),
    "arrays text": lambda _: from_arrays(X, np.array(["b", "a", "c"])[Y3], class_names=["x"]),
    "arrays named": lambda _: from_arrays(X, Y3, class_names=["x", "y", "z"]),
    "arrays uint64": lambda _: from_arrays(X.astype(np.float16), Y3.astype(np.uint64)),
    "arrays float classes": lambda _: from_arrays(X, Y3 / 4, task="classification"),
    "pandas": lambda _: _frame("pandas"),
    "pandas categorical": lambda _: _frame("pandas", categorical=["code", "flag"]),
    "pandas holes": lambda _: _holed("pandas"),
    "polars": lambda _: _frame("polars"),
    "polars holes": lambda _: _holed("polars"),
}

RECORDED = {
    "digits": "67ad0174ee01267be068d5d305da50e87931084feb27b1f429d79a8b51170a57",
    "wine": "c8088eccdb34f170199229b0b91ad12f97ffafb91d454151aabd241dd63bf104",
    "breast_cancer": "83af86eaf64e4cac7bf8eb0dc544e73a5cf6ad26c662f0e6cd515c8a4254b466",
    "iris": "1f50b1dd0bb523f51709db89ccb21c0e4a58a964306bc88cbac2e1aeaac9262c",
    "diabetes": "510bc989ad4cdeb63ad5a6922d020c71822074dafdfd03bd6b2564d048a8a201",
    "csv": "c28c4e73531f5a4780605c8d8a106f440d876bf4146e69f4b0ff6838b766b0e0",
    "csv semicolon, seed, plain": "ccf145caef0acc2ac4d2587359aaa1785fdbe4e40084ed663567c480d6e77765",
    "csv categorical": "0688b28a4f669a02c9e87d4cc42df2dbb5ee1c8e7cdfb0ae09c7181fec7ec477",
    "csv imputed": "0acd1d7ce731fc456d596fff24ad42b76dd5bd6f3c48040ae692eadd370b7878",
    "csv dropped": "cc7f58b43c1b38b111ce979a47503b630d390c411eee880f1ec97d4791af7a5b",
    "csv test": "b9bc34547af308a0fe5b449c5a708ae1bb1b3af86eeedcbe2b2ea42d6d216c66",
    "csv whole": "84f7c25e06961721fa74d5f33fc8bec4d14f04ad38022c2e13a39195f35a3c40",
    "csv signed": "d62dd45b630517bd6bfa39577e4eb87244e9b73ff6dded0306b984772c0611cd",
    "csv decimals as classes": "ea01ba2b6329d700688235e72cdc71fc2184741c44df5953e3746c32a43c1e41",
    "csv numbers and words": "47cee8ac6d5ffb4e8602f7d57f5b7876f0a3ee113886d08e4a2bb9bc7a0fcb62",
    "csv regression": "6fe5eea78bc76ea6c2b31c18eb4e191ad229f284fb034769e33de2e76ad70b51",
    "csv decimal comma": "c28c4e73531f5a4780605c8d8a106f440d876bf4146e69f4b0ff6838b766b0e0",
    "parquet": "9a349170cd55d69f910d94c9dec2cc47c74e147eb55965095c938afa0520172c",
    "parquet plain": "d55c01b920e69a94699ac0c68780c0bf250a75d1c02f23712f12b7a156448090",
    "npz": "dfeebd85477b158ee156b9cc380b7f960977fa8b565937880cbc4e8de6b60ff3",
    "npz float32 y": "96e478a601db7a018c36c6e78d368fa1eb191dade4a8d8bae86d9ea22f2327fa",
    "npz test": "e16e679e6d030f4727605cac6e48e5a6808c307320fdae5f24ef62646df7bb31",
    "npz bytes": "7ad0797f62f83afd206b4fdd9ed535124030e3711cf10d1aa50f9d78ee5cc274",
    "npz grey": "c8c0d97bf67283cc94b31d4bfa155c5b276692d23ba29f127b0d13ad097efede",
    "images": "58df58d24a8a1f422ddd92eddbf55749d0024fba7a4823234fbfce5e3dbb1331",
    "images grey, size": "9933d2ee9c13cc29859b5cb36106feccd98257571adaa948732f6907a56b0a83",
    "images standard": "d5959810bc3397dce0fd0efcc1a12f8e90b3febedee43fcba162349ec5166648",
    "images split": "a05ab6b132162de6fb912d08c341f0d10a3e973ba031be87bd53edbcea2c66a6",
    "arrays bool": "d30ac1c5dd58a883a0961c731379549e3c9aef7a9dec1b7374939be0da6eb754",
    "arrays channel": "833df2f6880997822b0c4e0bc02eaa677272fd41958f517b91991a586c5bf834",
    "arrays text": "b59e2490d11f8a584e2e13646ca145191741884ea0ef9c674323fbc1eeed3332",
    "arrays named": "12f500ed7b378adf4a1aa876357e0ca61769c42cbbb65bde38f33ecff08ac04c",
    "arrays uint64": "8c7399c7747849b2647393d081079f8ff5d3704901de2dd151ffec5601f826c2",
    "arrays float classes": "87910c3c2a8db70c66b228be363c55aa72708d1aaaf5194b035054386068f686",
    "pandas": "3c659e1ac9d74e8ccd250c58a84ca2f014d2b1d223f2ad5a3e01e2857dd45307",
    "pandas categorical": "5022a57005b38d7ec396bba89b47481c052d5cc7ca28d8e26a68c466cd722e65",
    "pandas holes": "0115a7b8fafc02b3e8d90916e0e27c1a36be26648f234fce8bdfa64e859fb382",
    "polars": "3c659e1ac9d74e8ccd250c58a84ca2f014d2b1d223f2ad5a3e01e2857dd45307",
    "polars holes": "0115a7b8fafc02b3e8d90916e0e27c1a36be26648f234fce8bdfa64e859fb382",
}


@pytest.mark.parametrize("case", CASES)
def test_fingerprint(case, tmp_path):
    assert CASES[case](tmp_path).fingerprint == RECORDED[case]
