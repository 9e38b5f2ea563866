"""This machine, as LLVM sees it: how wide its vectors are, and text turned into functions that can be called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from threading import Lock

import llvmlite.binding as llvm

from ravine.host_memory import host_bytes


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


_ROOM = 2**27  # bytes that compiling a large module may take
_COMPILING = Lock()  # LLVM was seen to crash where two threads compiled at once, and gains nothing by it


class Library:
    """Compiled functions; they live as long as it does.

    Args:
        text: a module in LLVM's language.

    Raises:
        MemoryError: there is so little that LLVM, which cannot refuse, would end the process.
    """

    def __init__(self, text: str) -> None:
        if host_bytes() < _ROOM:
            raise MemoryError
        with _COMPILING:
            self._compile(text)

    def _compile(self, text: str) -> None:
        here = machine()
        target = llvm.Target.from_default_triple()
        code = target.create_target_machine(cpu=here.cpu, features=here.features, opt=2)
        module = llvm.parse_assembly(text)
        module.verify()
        # The loops come as vectors, in blocks of the right size: LLVM's usual passes made no step faster than these
        # three do, and compiling took twice as long.
        passes = llvm.create_new_module_pass_manager()
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        passes.run(module, llvm.create_pass_builder(code, llvm.create_pipeline_tuning_options()))
        self._engine = llvm.create_mcjit_compiler(module, code)
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where the code of a function begins."""
        found: int = self._engine.get_function_address(name)
        assert found, f"no function {name} in the compiled module"
        return found
