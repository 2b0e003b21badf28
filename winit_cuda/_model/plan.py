"""Plans: by name, the law that each parameter of a model is to have."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._core.checks import warn, wrong
from .._distributed.shard import Shard, Shards
from .._initializers.base import Initializer
from .._keys.keys import Key
from .entries import Entry
from .rules import Rules, parsed
from .run import Report, run
from .slots import slots
from .table import table

_FORMAT = "winit_cuda plan"
_VERSION = 1
_STREAM = 1


class Plan:
    """By name, the law that each parameter of a model is to have.

    `winit_cuda.plan` makes it. `print` shows it as a table in which repeated layers are one row.

    Example:
        >>> import torch, winit_cuda as winit
        >>> with torch.device("meta"):
        ...     model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
        >>> plan = winit.plan(model, {"*.bias": winit.Zeros(), "*": winit.Normal(std=0.02)})
        >>> print(plan)
        name      initializer       shape   dtype    std
        0.weight  Normal(std=0.02)  8 x 4   float32  0.02
        0.bias    Zeros()           8       float32  0
        1.weight  Normal(std=0.02)  2 x 8   float32  0.02
        1.bias    Zeros()           2       float32  0
        4 tensors, 58 elements
        >>> instance = model.to_empty(device="cpu")
        >>> print(plan.run(instance, seed=0))
        filled 4 tensors, 58 elements
        >>> key = winit.fold_in(winit.key(0), "0.weight")
        >>> expected = winit.normal_(torch.empty(8, 4), std=0.02, key=key)
        >>> torch.equal(instance[0].weight, expected)
        True
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return table(list(self))

    def run(
        self,
        model: nn.Module,
        seed: int | Key,
        *,
        strict: bool = True,
        shards: Mapping[str, Shard | Shards] | None = None,
        skip: Iterable[str] = (),
    ) -> Report:
        """Fill the parameters of a model, each by its law, with the key of its name.

        The key of a parameter is fold_in(key(seed), name): adding, removing or renaming others does
        not change it. Parameters may be of any dtype, on any device, DTensors included, each rank
        then fills its own part, and nothing is sent. All is checked before anything is written.

        Args:
            model: An instance of the model, wrapped, sharded and tied as you like.
            seed: The seed, or the key itself.
            strict: Whether names that only the plan or only the model has, and entries without a
                law, are errors. A stage of a pipeline has only some names: False.
            shards: For parameters that are parts of larger tensors but no DTensors, by name, which
                part.
            skip: Globs of names to leave as they are. Parameters that transformers marks as loaded
                are left, too.

        Returns:
            What was filled and what was not. `print` shows it.

        Raises:
            TypeError: `model` is not a Module, `seed` neither an integer nor a Key, or a parameter
                is none that its initializer fills.
            ValueError: A parameter has another shape than planned, or, if `strict`, names or laws
                are missing.
            RuntimeError: A parameter is on meta, or on a device or of a dtype that takes no key.
        """
        return run(list(self), model, seed, strict=strict, shards=shards or {}, skip=skip)

    def with_rules(self, rules: Rules | str | Path) -> "Plan":
        """Return the plan with the initializers of these rules where one matches.

        Rules by type of module match nothing: a plan has names only.
        """
        found = parsed(rules)
        owner = nn.Module()
        entries = []
        for entry in self:
            stand_in = torch.empty(entry.shape, dtype=getattr(torch, entry.dtype), device="meta")
            chosen = (rule.initializer(entry.name, stand_in, owner) for rule in found)
            initializer = next((one for one in chosen if one is not None), entry.initializer)
            entries.append(replace(entry, initializer=initializer))
        return Plan(entries)

    def to_json(self) -> str:
        """Return the plan as JSON, from which `from_json` makes it again."""
        entries = [
            {
                "name": entry.name,
                "shape": list(entry.shape),
                "dtype": entry.dtype,
                "law": None if entry.initializer is None else entry.initializer.as_dict(),
                "aliases": list(entry.aliases),
            }
            for entry in self
        ]
        head = {"format": _FORMAT, "version": _VERSION, "stream": _STREAM}
        return json.dumps({**head, "entries": entries}, indent=1)

    def save(self, path: str | Path) -> None:
        """Write the plan to a file, as JSON."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> "Plan":
        """Read the plan from a file that `save` has written; nothing in it is run."""
        return Plan.from_json(Path(path).read_text(encoding="utf-8"))

    @staticmethod
    def from_json(text: str) -> "Plan":
        """Return the plan of `to_json`. Nothing but JSON is read, and no code runs.

        Raises:
            ValueError: The text is not JSON, or not that of a plan of this version.
        """
        function = "Plan.from_json"
        try:
            described = json.loads(text)
        except json.JSONDecodeError as error:
            raise wrong(function, "text", f"JSON ({error})", text) from error
        head = described.get("format") if isinstance(described, dict) else None
        if head != _FORMAT:
            raise wrong(function, "text", f"an object of the format {_FORMAT!r}", head)
        if (described.get("version"), described.get("stream")) != (_VERSION, _STREAM):
            received = described.get("version"), described.get("stream")
            raise wrong(function, "version and stream", f"{_VERSION} and {_STREAM}", received)
        try:
            return Plan(map(_entry, described["entries"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise wrong(function, "entries", f"those of a plan ({error!r})", "others") from error


def plan(model: nn.Module, rules: Rules | str | Path, *, strict: bool = True) -> "Plan":
    """Return the plan of a model by rules: which law each of its parameters is to have.

    The first rule that matches a parameter decides. Nothing is written; the model may be on meta.

    Args:
        model: Names and shapes are taken from it.
        rules: In order, a pattern and what a parameter that matches gets. A pattern is a glob over
            the name, in which `*` crosses dots, a compiled regular expression for all of the name,
            or a type of modules for what they own. What it gets is an `Initializer`, or a callable
            that returns one for the name and the parameter, or None to leave it to later rules. Or
            the path of a JSON or TOML file: an object of globs and initializers.
        strict: Whether parameters that no rule matches, and rules that decide nothing, are errors;
            else they are a warning.

    Raises:
        TypeError: `model` is not a Module, or a rule is none.
        ValueError: If `strict`, a parameter has no rule, or a rule matches nothing; or a parameter
            has a shape that its initializer does not take.

    Example:
        >>> import torch, winit_cuda as winit
        >>> model = torch.nn.Linear(4, 8)
        >>> plan = winit.plan(model, {"bias": winit.Zeros(), "*": winit.XavierUniform()})
        >>> plan["weight"].initializer
        XavierUniform()
    """
    if not isinstance(model, nn.Module):
        raise wrong("plan", "model", "a torch.nn.Module", model, TypeError)
    found = parsed(rules)
    entries = []
    for slot in slots(model):
        chosen = (rule.initializer(slot.name, slot.tensor, slot.owner) for rule in found)
        initializer = next((one for one in chosen if one is not None), None)
        shape = tuple(slot.tensor.shape)
        if initializer is not None:
            _check_law(slot.name, initializer, shape)
        dtype = str(slot.tensor.dtype).removeprefix("torch.")
        entries.append(Entry(slot.name, shape, dtype, initializer, slot.aliases))
    unmatched = [entry.name for entry in entries if entry.initializer is None]
    idle = [str(rule) for rule in found if rule.is_idle]
    for what, names in (("parameters that no rule matches", unmatched), ("idle rules", idle)):
        if names:
            message = f"plan: {what}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
            if strict:
                raise ValueError(f"{message} ({len(names)} in all)")
            warn(f"{message} ({len(names)} in all)")
    return Plan(entries)


def _check_law(name: str, initializer: Initializer, shape: tuple[int, ...]) -> None:
    try:
        initializer.law(shape)
    except ValueError as error:
        raise ValueError(f"plan: {name}: {error}") from error


def _entry(described: dict[str, Any]) -> Entry:
    law = described["law"]
    dtype = described["dtype"]
    if not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise TypeError(f"no dtype: {dtype!r}")
    return Entry(
        str(described["name"]),
        tuple(int(size) for size in described["shape"]),
        dtype,
        None if law is None else Initializer.from_dict(law),
        tuple(map(str, described["aliases"])),
    )
