"""Plans: by name, the law that each parameter of a model is to have."""

import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from .._core.checks import told_as, unfit, warn, wrong
from .._distributed.shard import Shard, Shards
from .._keys.keys import Key
from .._version import STREAM_VERSION
from .entries import LAZY, Entry, as_dict, entry_of, from_dict, with_own_keys
from .match import Index, Report
from .rules import Rules, chosen, parsed
from .run import run
from .slots import slots
from .table import table

_FORMAT = "winit_cuda plan"
_VERSION = 1


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
        self._index = Index(self)

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
        buffers: bool = True,
        shards: Mapping[str, Shard | Shards] | None = None,
        skip: Iterable[str] = (),
    ) -> Report:
        """Fill the parameters of a model, each by its law, with the key of its name.

        The key of a parameter is fold_in(key(seed), name): adding, removing or renaming others does
        not change it. A copy has the key of what it is a copy of, and a further draw in a parameter
        the name with "#1", "#2" and so on behind it. Parameters may be of any dtype, on any device,
        DTensors included, each rank then fills its own part, and nothing is sent. All is checked
        before anything is written, except whether there is memory to compute with.

        Args:
            model: An instance of the model, wrapped, sharded and tied as you like.
            seed: The seed, or the key itself.
            strict: Whether names that only the plan or only the model has, and entries without a
                law, are errors. A stage of a pipeline has only some names: False.
            buffers: Whether the buffers that the plan has are filled, too.
            shards: For parameters that are parts of larger tensors but no DTensors, by name, which
                part.
            skip: Globs of names to leave as they are. Parameters that transformers marks as loaded
                are left, too.

        Returns:
            What was filled and what was not. `print` shows it.

        Raises:
            TypeError: `model` is not a Module, `seed` neither an integer nor a Key, or a parameter
                is none that its initializer fills.
            ValueError: A parameter has another shape than planned, or a name with a lone surrogate,
                which gives no key, or a glob of `skip` matches none, or, if `strict`, names or laws
                are missing.
            RuntimeError: A parameter is on meta, or on a device or of a dtype that takes no key.
        """
        return run(
            self._index,
            model,
            seed,
            strict=strict,
            buffers=buffers,
            shards=shards or {},
            skip=skip,
        )

    def with_rules(self, rules: Rules | str | Path, *, strict: bool = True) -> "Plan":
        """Return the plan with the initializers of these rules where one matches.

        Rules are for parameters, and those by type of module match nothing: a plan has names only.
        What was a copy of a parameter that gets another law keeps its own law, no longer its
        values.

        Args:
            rules: As `plan` takes them, or the path of a file of them.
            strict: Whether rules that decide nothing are an error; else they are a warning.

        Raises:
            TypeError: A rule is none.
            ValueError: If `strict`, a rule decides nothing; or a parameter has a shape that its
                initializer does not take.
            RuntimeError: A function of a rule fails.
        """
        return ruled("Plan.with_rules", self, rules, strict)

    def to_json(self) -> str:
        """Return the plan as JSON, from which `from_json` makes it again."""
        entries = [as_dict(entry) for entry in self]
        head = {"format": _FORMAT, "version": _VERSION, "stream": STREAM_VERSION}
        return json.dumps({**head, "entries": entries}, indent=1)

    def save(self, path: str | Path) -> None:
        """Write the plan to a file, as JSON."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> "Plan":
        """Read the plan from a file that `save` has written, as `from_json` does."""
        return Plan.from_json(Path(path).read_text(encoding="utf-8"))

    @staticmethod
    def from_json(text: str) -> "Plan":
        """Return the plan of `to_json`. Nothing but JSON is read, and no code runs.

        Operators in it are looked up in a fixed list, and called by `run` only.

        Raises:
            TypeError: The text is no string.
            ValueError: The text is not JSON, or not that of a plan of this version.
        """
        function = "Plan.from_json"
        if not isinstance(text, str):
            raise wrong(function, "text", "a string", text, TypeError)
        try:
            described = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise wrong(function, "text", f"JSON ({error})", text) from error
        head = described.get("format") if isinstance(described, dict) else None
        if head != _FORMAT:
            raise wrong(function, "text", f"an object of the format {_FORMAT!r}", head)
        required = _VERSION, STREAM_VERSION
        received = described.get("version"), described.get("stream")
        if received != required:
            raise wrong(function, "version and stream", "{} and {}".format(*required), received)
        unknown = sorted(described.keys() - {"format", "version", "stream", "entries"})
        if unknown:
            raise wrong(function, "text", "an object of a plan's members only", unknown)
        given = described.get("entries")
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise wrong(function, "entries", "a list of objects", given)
        entries = [_entry(one) for one in given]
        names = [name for entry in entries for name in (entry.name, *entry.aliases)]
        if len(set(names)) < len(names):
            name = next(name for name in names if names.count(name) > 1)
            raise wrong(function, "entries", "of different names", f"{name} twice")
        return Plan(entries)


def plan(
    model: nn.Module | Callable[[], nn.Module],
    rules: Rules | str | Path | None = None,
    *,
    strict: bool = True,
) -> "Plan":
    """Return the plan of a model: which law each of its parameters is to have.

    Of a factory, a callable that makes the model, the laws are read: it is called on fake tensors,
    which have no memory, and what it does to each parameter and buffer is followed back to draws
    and constants. Scaled draws, rows set to zero, matrices filled in parts and copies are laws,
    too. What is not known to be one is computed by the constructor's own operators, from draws with
    keys. What cannot be, or is never written, is an entry whose `note` says so; rules may give it a
    law. No entry is a guess.

    Of a Module, rules say the laws; nothing is read or written, and it may be on meta. The first
    rule that matches a parameter decides.

    Args:
        model: A factory, or a Module, from which names and shapes are taken.
        rules: In order, a pattern and what a parameter that matches gets. A pattern is a glob over
            the name, in which `*` crosses dots, a compiled regular expression for all of the name,
            or a type of modules, or a tuple of them, for what they own. What it gets is an
            `Initializer`, or a callable that returns one for the name and the parameter, or None to
            leave it to later rules; by type, it gets the modules, too, the owner first and then
            those around it. Or the path of a file, JSON or, from Python 3.11 on, TOML: an object of
            globs and initializers. For a factory, they replace laws that were read, as
            `Plan.with_rules` does.
        strict: Whether parameters of a Module that no rule matches, and rules that decide nothing,
            are errors; else they are a warning.

    Raises:
        TypeError: `model` is neither a Module nor callable, a Module has no rules, a rule is none,
            or the factory needs arguments or returns no Module.
        ValueError: If `strict`, a parameter has no rule, or a rule matches nothing; or a parameter
            has no shape yet, or one that its initializer does not take.
        RuntimeError: The factory fails on fake tensors, and the error names its line; or a function
            of a rule fails.

    Example:
        >>> import torch, winit_cuda as winit
        >>> model = torch.nn.Linear(4, 8)
        >>> plan = winit.plan(model, {"bias": winit.Zeros(), "*": winit.XavierUniform()})
        >>> plan["weight"].initializer
        XavierUniform()
        >>> plan = winit.plan(lambda: torch.nn.Embedding(10, 4, padding_idx=0))
        >>> print(plan)
        name    initializer                shape   dtype    std
        weight  Normal(), [0:1] = Zeros()  10 x 4  float32  1
        1 tensors, 40 elements
        >>> instance = torch.nn.Embedding(10, 4, padding_idx=0, device="meta")
        >>> print(plan.run(instance.to_empty(device="cpu"), seed=0))
        filled 1 tensors, 40 elements
        >>> instance.weight[0].tolist()
        [0.0, 0.0, 0.0, 0.0]
    """
    if not isinstance(model, nn.Module):
        return _of_factory(model, rules, strict)
    if rules is None:
        raise wrong("plan", "rules", "given for a Module", rules, TypeError)
    found = parsed(rules)
    entries = []
    known = slots(model)
    lazy = [slot.name for slot in known if is_lazy(slot.tensor)]
    if lazy:
        what = f"without lazy parameters, which have no shape before the first call: {lazy[0]}"
        raise unfit("plan", "model", what, f"{len(lazy)} of them", ValueError)
    for slot in known:
        initializer = chosen(found, slot.name, slot.tensor, (slot.owner, *slot.around))
        shape, dtype = tuple(slot.tensor.shape), str(slot.tensor.dtype).removeprefix("torch.")
        entries.append(_ruled(slot.name, shape, dtype, initializer, slot.aliases))
    unmatched = [entry.name for entry in entries if entry.initializer is None]
    idle = [str(rule) for rule in found if rule.is_idle]
    _tell("plan", "parameters that no rule matches", unmatched, strict)
    _tell("plan", "idle rules", idle, strict)
    return Plan(entries)


def ruled(function: str, plan: Plan, rules: Rules | str | Path, strict: bool) -> Plan:
    """The plan with these rules, for a function that errors and warnings name."""
    with told_as(function, "plan"):
        found = parsed(rules)
        entries, changed = [], set()
        for entry in plan:
            initializer = None
            if not entry.is_buffer and entry.note != LAZY:
                dtype = getattr(torch, entry.dtype)
                stand_in = torch.empty(entry.shape, dtype=dtype, device="meta")
                initializer = chosen(found, entry.name, stand_in, ())
            if initializer is None:
                entries.append(entry)
            else:
                entries.append(
                    _ruled(entry.name, entry.shape, entry.dtype, initializer, entry.aliases)
                )
                changed.add(entry.name)
    _tell(function, "idle rules", [str(rule) for rule in found if rule.is_idle], strict)
    return Plan(with_own_keys(entries, changed))


def _tell(function: str, what: str, names: list[str], strict: bool) -> None:
    """Raise or warn where there are any."""
    if names:
        message = f"{function}: {what}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        if strict:
            raise ValueError(f"{message} ({len(names)} in all)")
        warn(f"{message} ({len(names)} in all)")


def _of_factory(factory: Any, rules: Rules | str | Path | None, strict: bool) -> Plan:
    if not callable(factory):
        requirement = "a torch.nn.Module or a callable that makes one"
        raise wrong("plan", "model", requirement, factory, TypeError)
    check_arguments("plan", "model", factory)
    # Imported where it is needed: it is the only part that needs torch's fake tensors.
    read = importlib.import_module(".read", __package__)
    found = Plan(read.entries_of(factory))
    return found if rules is None else ruled("plan", found, rules, strict)


def _entry(described: dict[str, Any]) -> Entry:
    """The entry of a file; an error names it."""
    try:
        return from_dict(described)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"Plan.from_json: {described.get('name')}: {reason}") from error


def check_arguments(function: str, argument: str, factory: Callable[..., Any]) -> None:
    """Raise where a factory needs arguments, such as a class of modules does."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # some built-in functions have none
        return
    try:
        signature.bind()
    except TypeError as error:
        name = getattr(factory, "__qualname__", type(factory).__name__)
        requirement = f"a callable without arguments, such as lambda: {name}(...)"
        raise unfit(function, argument, requirement, f"{name}: {error}", TypeError) from error


def _ruled(name: str, shape: tuple[int, ...], *others: Any) -> Entry:
    try:
        return entry_of(name, shape, *others)
    except ValueError as error:
        raise ValueError(f"plan: {name}: {error}") from error
