"""safetensors files: what is read of them, and files that somebody made to do harm."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from small import saved

from ravine.backbones import files, remembered
from ravine.backbones.files import digest_of, existing, read_header, stripped, verification
from ravine.backbones.loading import digest_of_tensors, read_safetensors
from ravine.errors import ModelError

TENSORS = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor(7), "c": torch.zeros(0, 4)}


def raw(folder: Path, header: Any, body: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file = folder / "x.safetensors"
    file.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + body)
    return file


def entry(kind: str = "F32", shape: Any = (1,), ends: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(ends)}


def test_the_header_is_what_the_format_library_wrote(tmp_path):
    found = read_header(saved(tmp_path, TENSORS, format="pt"))
    assert {name: (each.kind, each.shape) for name, each in found.items()} == {
        "a": ("I64", ()), "b": ("F32", (2, 3)), "c": ("F32", (0, 4)),
    }  # fmt: skip


def test_the_digest_is_that_of_the_tensors_alone(tmp_path):
    # Written out: SHA-256 of name, type and shape as JSON, then the bytes, by name.
    expected = hashlib.sha256()
    for name, kind in (("a", "I64"), ("b", "F32"), ("c", "F32")):
        expected.update(json.dumps([name, kind, list(TENSORS[name].shape)]).encode())
        expected.update(TENSORS[name].numpy().tobytes())
    plain = digest_of(saved(tmp_path, TENSORS))
    assert plain == expected.hexdigest() == digest_of_tensors(TENSORS)
    assert digest_of(saved(tmp_path, TENSORS, "other.safetensors", format="pt", by="me")) == plain
    wrapped = {f"_orig_mod.module.{name}": each for name, each in TENSORS.items()}
    assert digest_of(saved(tmp_path, wrapped, "wrapped.safetensors")) == plain


def test_a_changed_file_is_hashed_anew(tmp_path):
    file = saved(tmp_path, TENSORS)
    before = digest_of(file)
    saved(tmp_path, {**TENSORS, "b": TENSORS["b"] + 1})
    assert digest_of(file) != before


def test_a_hash_is_remembered_across_processes_and_verified(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "WORTH_BYTES", 1)
    file = saved(tmp_path, TENSORS)
    os.utime(file, ns=(10**18, 10**18))  # not just now
    before = digest_of(file)
    verification([file]).finish()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(10**18, 10**18))
    files._digest.cache_clear()  # as in another process
    assert digest_of(file) == before
    with pytest.raises(ModelError, match="the content has changed, although size and time"):
        verification([file]).finish()
    after = digest_of(file)  # in this process too
    assert after != before
    os.utime(file)
    assert digest_of(file) == after
    verification([file]).finish()


@pytest.mark.parametrize(
    "change",
    [{"b": TENSORS["b"].flip(0)}, {"b": TENSORS["b"].view(3, 2)}, {"d": TENSORS["b"]}, {"b": TENSORS["b"].half()}],
    ids=["bytes", "shape", "name", "type"],
)  # fmt: skip
def test_whatever_differs_in_a_tensor_gives_another_digest(tmp_path, change):
    other = {**({} if "d" in change else TENSORS), **change}
    if "d" in change:
        other |= {name: each for name, each in TENSORS.items() if name != "b"}
    assert digest_of(saved(tmp_path, other, "o.safetensors")) != digest_of(saved(tmp_path, TENSORS))


HOSTILE = {
    "empty": (lambda f: _bytes(f, b""), "is no safetensors file"),
    "seven bytes": (lambda f: _bytes(f, b"1234567"), "is no safetensors file"),
    "a header of 8 exabytes": (lambda f: raw(f, {}, length=2**63), "would be longer than the file"),
    "a header longer than the file": (lambda f: raw(f, {}, length=99), "would be longer than the file"),
    "a header that is no JSON": (lambda f: raw(f, b"{'a': 1}"), "its header is no JSON"),
    "a header that is no text": (lambda f: raw(f, b"\xff\xfe\x00"), "its header is no JSON"),
    "a deep header": (lambda f: raw(f, b"[" * 100_000), "its header is no JSON"),
    "a list": (lambda f: raw(f, [1]), "its header is no table"),
    "no place": (lambda f: raw(f, {"a": {"dtype": "F32", "shape": [1]}}, b"1234"), "lacks its type"),
    "a text for a tensor": (lambda f: raw(f, {"a": "F32"}, b"1234"), "lacks its type"),
    "a negative side": (lambda f: raw(f, {"a": entry(shape=[-1])}, b"1234"), "lacks its type"),
    "a side that is true": (lambda f: raw(f, {"a": entry(shape=[True])}, b"1234"), "lacks its type"),
    "sides beyond counting": (lambda f: raw(f, {"a": entry(shape=[2**40, 2**40])}, b"1234"), "not as many bytes"),
    "bytes beyond the file": (lambda f: raw(f, {"a": entry(ends=(0, 8), shape=[2])}, b"1234"), "not as many bytes"),
    "bytes before the tensors": (lambda f: raw(f, {"a": entry(ends=(-4, 0))}, b"1234"), "lacks its type"),
    "too few bytes": (lambda f: raw(f, {"a": entry(shape=[2])}, b"1234"), "not as many bytes"),
    "overlapping": (lambda f: raw(f, {"a": entry(), "b": entry()}, b"1234"), "overlaps another"),
    "a gap": (lambda f: raw(f, {"a": entry(ends=(4, 8))}, b"12345678"), "leaves a gap"),
    "more than its tensors": (lambda f: raw(f, {"a": entry()}, b"1234evil"), "belong to no tensor"),
    "a type that nobody knows": (lambda f: raw(f, {"a": entry("F8_E4M3", ends=(0, 1))}, b"1"), "is not read here"),
    "a pickle": (lambda f: _bytes(f, pickle.dumps({"a": 1}) + bytes(50)), "is no safetensors file"),
}  # fmt: skip


def _bytes(folder: Path, content: bytes) -> Path:
    file = folder / "x.safetensors"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_not_sound_is_refused_in_a_line(tmp_path, name):
    make, words = HOSTILE[name]
    file = make(tmp_path)
    for read in (digest_of, read_safetensors):
        with pytest.raises(ModelError) as raised:
            read(file)
        assert words in str(raised.value)
        assert "\n" not in str(raised.value)
        assert str(file) in str(raised.value)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(str(Evil.touched)),))


def test_a_pickle_with_the_name_of_safetensors_is_never_executed(tmp_path):
    Evil.touched = tmp_path / "touched"
    file = tmp_path / "x.safetensors"
    torch.save({"a": Evil()}, file)
    assert zipfile.is_zipfile(file)
    with pytest.raises(ModelError, match="is no safetensors file"):
        read_safetensors(file)
    assert not Evil.touched.exists()


def test_short_floats_are_widened_and_noted(tmp_path):
    x = torch.tensor([1.0, 1 / 3, -65504.0])
    found = read_safetensors(saved(tmp_path, {"h": x.half(), "b": x.bfloat16(), "f": x}))
    assert all(each.dtype == torch.float32 for each in found.tensors.values())
    assert torch.equal(found.tensors["h"], x.half().float())
    assert torch.equal(found.tensors["b"], x.bfloat16().float())
    assert found.notes == ("2 tensors of w.safetensors: bfloat16 and float16, read as float32",)
    assert read_safetensors(saved(tmp_path, {"f": x}, "f.safetensors")).notes == ()


def test_denormal_numbers_become_zero_and_all_others_stay(tmp_path):
    x = torch.tensor([1e-40, -1e-40, 1.1754944e-38, -1.5, 0.0])
    found = read_safetensors(saved(tmp_path, {"w": x})).tensors["w"]
    assert found.tolist() == [0.0, 0.0, x[2].item(), -1.5, 0.0]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(tmp_path, number):
    with pytest.raises(ModelError, match="tensor 'w' has numbers that are infinite or not a number"):
        read_safetensors(saved(tmp_path, {"w": torch.tensor([1.0, number])}))


def test_paths_that_are_no_files(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(
        ModelError, match=r"^key: there is no such file: .*did you mean 'weights.safetensors'\?$"
    ):
        existing("weigths.safetensors", tmp_path, "key")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"^key: .*/link\.safetensors is a link to what is not there$"):
        existing("link.safetensors", tmp_path, "key")
    with pytest.raises(ModelError, match=r"^key: is a folder; a file is needed$"):
        existing(".", tmp_path, "key")
    with pytest.raises(ModelError, match=r"^key: is a file; a folder is needed$"):
        existing("weights.safetensors", tmp_path, "key", folder=True)
    with pytest.raises(ModelError, match=r"^key: is a device, a pipe or a socket"):
        existing("/dev/zero", tmp_path, "key")
    with pytest.raises(ModelError, match=r"^key: cannot be used as a path"):
        existing("x\0y", tmp_path, "key")


@pytest.mark.parametrize("name", ["a.b", "module.a.b", "_orig_mod.module._orig_mod.a.b"])
def test_prefixes_of_wrappers_come_off(name):
    assert stripped(name) == "a.b"
