"""This machine, as LLVM sees it: how wide its vectors are, and text turned into functions that can be called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from threading import Lock

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from ravine.host_memory import host_bytes
from ravine.native.kept import kept_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What code is made for.

    Args:
        cpu: LLVM's name of the processor.
        features: what it can do, in LLVM's notation.
        lanes: float32 numbers in a vector register.
        registers: how many such registers there are.
    """

    cpu: str
    features: str
    lanes: int
    registers: int


@cache
def machine() -> Machine:
    """The machine that this program runs on."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    found = llvm.get_host_cpu_features()
    if found.get("avx512f") and found.get("avx512dq") and found.get("avx512vl"):
        lanes, registers = 16, 32
    elif found.get("avx2") and found.get("fma"):
        lanes, registers = 8, 16
    else:
        lanes, registers = 4, 32 if found.get("neon") else 16
    return Machine(cpu=llvm.get_host_cpu_name(), features=found.flatten(), lanes=lanes, registers=registers)


_WAY = 1  # raised where `object_of` makes other code of the same text
_ROOM = 2**27  # bytes that compiling a large module may take
_COMPILING = Lock()  # LLVM was seen to crash where two threads compiled at once, and gains nothing by it


class Library:
    """Compiled functions; they live as long as it does.

    Args:
        content: an object file.
    """

    def __init__(self, content: bytes) -> None:
        with _COMPILING:
            # An engine wants a module, though all of the code is in the object file.
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _code_maker())
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(content))
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where the code of a function begins."""
        found: int = self._engine.get_function_address(name)
        assert found, f"no function {name} in the compiled module"
        return found


def library_of(text: str) -> Library:
    """The functions of a module, compiled, or out of the cache.

    Args:
        text: in LLVM's language.

    Raises:
        MemoryError: see `object_of`.
    """
    key = {"text": sha256(text.encode()).hexdigest(), "made_by": made_by()}
    made = kept_code(key, lambda: {"object": np.frombuffer(object_of(text), np.uint8)})
    return Library(made["object"].tobytes())


def object_of(text: str) -> bytes:
    """A module in LLVM's language as an object file.

    Raises:
        MemoryError: there is so little that LLVM, which cannot refuse, would end the process.
    """
    if host_bytes() < _ROOM:
        raise MemoryError
    with _COMPILING:
        code = _code_maker()
        module = llvm.parse_assembly(text)
        module.verify()
        # The loops come as vectors, in blocks of the right size: LLVM's usual passes made no step faster than these
        # three do, and compiling took twice as long.
        passes = llvm.create_new_module_pass_manager()
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        passes.run(module, llvm.create_pass_builder(code, llvm.create_pipeline_tuning_options()))
        content: bytes = code.emit_object(module)
    return content


@cache
def made_by() -> str:
    """What machine code depends on beside its text: the processor, and the compiler."""
    here, version = machine(), ".".join(map(str, llvm.llvm_version_info))
    compiler = f"llvmlite {llvmlite.__version__}, LLVM {version}, way {_WAY}"
    return f"{compiler}, {llvm.get_default_triple()}, {here.cpu}, {here.features}"


def _code_maker() -> llvm.TargetMachine:
    here = machine()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=here.cpu, features=here.features, opt=2)
