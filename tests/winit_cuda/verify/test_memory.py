"""`verify` of files larger than the memory that it takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core

safetensors = pytest.importorskip("safetensors.torch")

ROWS, COLUMNS = 25, 1 << 21  # 200 MiB of float32

# The peak of anonymous memory: the pages of a mapped file are the system's to keep or drop.
PROGRAM = """
import json, re, sys, threading, time
from pathlib import Path
import winit_cuda as winit

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

def watch():
    global peak
    while not is_done:
        peak = max(peak, anonymous())
        time.sleep(0.001)

plan = winit.Plan.load(sys.argv[1])
winit.verify({}, plan, seed=0)
found = []
for path in sys.argv[2:]:
    before = peak = anonymous()
    is_done = False
    watcher = threading.Thread(target=watch)
    watcher.start()
    (one,) = winit.verify(path, plan, seed=0).different
    is_done = True
    watcher.join()
    found.append((one.index, one.count, (peak - before) / 1024))
print(json.dumps(found))
"""


@needs_core
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_large_files_take_little_memory(tmp_path):
    shape = nn.ParameterDict({"w": torch.empty(ROWS, COLUMNS, device="meta")})
    winit.plan(shape, {"*": winit.Normal(std=0.02)}).save(tmp_path / "plan.json")
    w = torch.empty(ROWS, COLUMNS)
    winit.normal_(w, std=0.02, key=winit.fold_in(winit.key(0), "w"))
    w[-1, -1] = 1.0
    files = [tmp_path / "a.pt", tmp_path / "a.safetensors"]
    torch.save({"w": w}, files[0])
    safetensors.save_file({"w": w}, files[1])
    command = [sys.executable, "-c", PROGRAM, tmp_path / "plan.json", *files]
    printed = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    for file in files:
        file.unlink()
    for index, count, mebibytes in json.loads(printed.stdout):
        assert (index, count) == (w.numel() - 1, 1)
        assert mebibytes < 64, json.loads(printed.stdout)
