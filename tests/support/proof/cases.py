"""A random case: a mesh, placements, and the call of an initializer on each of its ranks.

A case is plain data, the same on every machine for the same seed, number and size of the group.
"""

from __future__ import annotations

import functools
import math
import random
from typing import Any, NamedTuple

FLOATING = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
EXACT = ("int64", "int8", "bool", "complex64")
COMPLEX = "complex64"
PARTIAL = "without Partial placements"
NO_COMPLEX = f"the native core does not fill torch.{COMPLEX}"
Shape = tuple[int, ...]


class Placement(NamedTuple):
    """How a dimension of the mesh places the tensor."""

    kind: str
    """R, replicated; S, sharded; T, strided; P, partial sums."""
    dim: int = 0
    factor: int = 1
    """Into how many blocks a strided shard cuts the dimension first."""

    @property
    def is_split(self) -> bool:
        return self.kind in "ST"

    def __str__(self) -> str:
        shown = {"S": f"({self.dim})", "T": f"({self.dim}, {self.factor})"}
        return self.kind + shown.get(self.kind, "")


class Case(NamedTuple):
    """What every rank of a group of `world` processes does."""

    seed: int
    number: int
    world: int
    mesh: Shape
    ranks: Shape
    """The ranks in the mesh, in its order; others of the group are outside of it."""
    placements: tuple[Placement, ...]
    initializer: str
    """The public name: of a function, or of a class whose instance is called."""
    shape: Shape
    arguments: dict[str, Any]
    dtype: str
    source: str
    """What the values come from: a key, torch.manual_seed or a generator."""
    made: str
    """How the DTensor is made: distributed, empty, or local with the memory named behind it."""
    route: str
    """Whether a DTensor is filled, or what a rank has of it with `shard=`."""
    mode: str
    requires_grad: bool
    fault: str = ""
    """A fault of its own, which the rules must find; for the tests of the rules."""

    @property
    def is_function(self) -> bool:
        return self.initializer.endswith("_")

    @property
    def is_random(self) -> bool:
        return self.initializer not in (*FIXED, *map(class_name, FIXED))

    @property
    def is_orthogonal(self) -> bool:
        return "orthogonal" in self.initializer.lower()

    @property
    def refusals(self) -> tuple[str, ...]:
        """What every rank has to refuse, for one of these reasons that its error names."""
        if self.route == "shard":
            is_partial = False
        else:
            pairs = zip(self.placements, self.mesh, strict=True)
            is_partial = any(placement.kind == "P" and size > 1 for placement, size in pairs)
        is_complex = self.dtype == COMPLEX and self.is_random and math.prod(self.shape) > 0
        return (PARTIAL,) * is_partial + (NO_COMPLEX,) * is_complex

    @property
    def is_doubtful(self) -> bool:
        """Whether the rows may be such that torch's placements do not tell them.

        They do where a strided shard is the only one of its dimension, and of FSDP2 over tensor
        parallelism where the sizes divide evenly.
        """
        return self.route == "dtensor" and any(
            self._is_doubtful(dim) for dim in range(len(self.shape))
        )

    def _is_doubtful(self, dim: int) -> bool:
        splits = [
            (placement, size)
            for placement, size in zip(self.placements, self.mesh, strict=True)
            if placement.is_split and placement.dim % len(self.shape) == dim and size > 1
        ]
        if len(splits) < 2 or all(placement.kind == "S" for placement, _ in splits):
            return False
        sizes = [size for _, size in splits]
        is_fsdp = all(
            placement == (("T", dim, math.prod(sizes[at + 1 :])) if at == 0 else ("S", dim, 1))
            for at, (placement, _) in enumerate(splits)
        )
        return not (is_fsdp and self.shape[dim] % math.prod(sizes) == 0)

    def __str__(self) -> str:
        arguments = "".join(f", {name}={value}" for name, value in self.arguments.items())
        placements = " ".join(map(str, self.placements))
        flags = " requires grad" if self.requires_grad else ""
        return (
            f"{self.initializer}({self.dtype}{list(self.shape)}{arguments}) by {self.source} on a "
            f"mesh {list(self.mesh)} of ranks {list(self.ranks)} of {self.world}, placed "
            f"{placements}, made {self.made}, as {self.route}, {self.mode}{flags}"
        )


NUMBERS: dict[str, dict[str, tuple[Any, ...]]] = {
    "uniform_": {"a": (-0.5, 0.0, -3.0), "b": (0.25, 1.0, 2.0)},
    "normal_": {"mean": (0.0, 0.25, -4.0), "std": (1.0, 0.02, 0.0)},
    "trunc_normal_": {"mean": (0.0, 0.5), "std": (1.0, 0.5), "a": (-2.0, -0.75), "b": (1.0, 2.0)},
    "xavier_uniform_": {"gain": (1.0, -1.5, 5 / 3, 0.0)},
    "xavier_normal_": {"gain": (1.0, -1.5, 5 / 3, 0.0)},
    "kaiming_uniform_": {
        "a": (0.0, 5**0.5),
        "mode": ("fan_in", "fan_out"),
        "nonlinearity": ("relu", "leaky_relu", "tanh"),
    },
    "kaiming_normal_": {
        "a": (0.0, -0.5),
        "mode": ("fan_in", "fan_out"),
        "nonlinearity": ("relu", "leaky_relu", "selu"),
    },
    "orthogonal_": {"gain": (1.0, -1.5, 2**0.5)},
    "delta_orthogonal_": {"gain": (1.0, -0.5, 3.0)},
    "sparse_": {"sparsity": (0.0, 0.3, 0.5, 1.0), "std": (0.01, 1.0)},
    "constant_": {},
    "ones_": {},
    "zeros_": {},
    "eye_": {},
    "dirac_": {},
    "lecun_uniform_": {},
    "lecun_normal_": {},
    "variance_scaling_": {
        "scale": (1.0, 2.0, 0.0),
        "mode": ("fan_in", "fan_out", "fan_avg", "fan_geo_avg"),
        "distribution": ("truncated_normal", "normal", "uniform"),
    },
}
FIXED = ("constant_", "ones_", "zeros_", "eye_", "dirac_")
ONLY_CLASSES = ("lecun_uniform_", "lecun_normal_", "variance_scaling_")
FAN = ("xavier", "kaiming", "lecun", "variance")
SCHEMES = tuple(NUMBERS)


def class_name(function: str) -> str:
    """XavierNormal of xavier_normal_."""
    return "".join(part.capitalize() for part in function.split("_"))


def draw(seed: int, number: int, worlds: Shape) -> Case:
    """Case `number` of a seed, of a group of one of these sizes.

    The initializers follow each other, and each is tried on all sizes in turn.
    """
    turn, which = divmod(number, len(SCHEMES))
    scheme, world = SCHEMES[which], worlds[(which + turn) % len(worlds)]
    source = random.Random(f"{seed}:{number}:{world}")
    dtype = _dtype(scheme, source)
    mesh = _mesh(world, source)
    placements, shape = _placements(mesh, _shape(scheme, source), scheme, source)
    is_class = scheme in ONLY_CLASSES or source.random() < 0.25
    made = source.choice(("distributed", "empty", "local", "local permuted", "local window"))
    if made == "distributed" and any(placement.kind == "P" for placement in placements):
        made = "local"  # torch makes quotients of the values
    return Case(
        seed=seed,
        number=number,
        world=world,
        mesh=mesh,
        ranks=_ranks(math.prod(mesh), world, source),
        placements=placements,
        initializer=class_name(scheme) if is_class else scheme,
        shape=shape,
        arguments=_arguments(scheme, shape, dtype, source)
        | (_only_of_classes(scheme, shape, source) if is_class else {}),
        dtype=dtype,
        source=source.choice(("key", "key", "manual_seed", "generator")),
        made=made,
        route="dtensor" if source.random() < 0.8 else "shard",
        mode=source.choice(("plain", "plain", "no_grad", "watched")),
        requires_grad=dtype in (*FLOATING, COMPLEX) and source.random() < 0.5,
    )


def _dtype(scheme: str, source: random.Random) -> str:
    if scheme in FIXED and source.random() < 0.3:
        return source.choice(EXACT)
    if source.random() < 0.05:
        return COMPLEX
    return source.choices(FLOATING, (6, 3, 2, 3, 1, 1))[0]


@functools.cache
def meshes(ranks: int) -> tuple[Shape, ...]:
    """The shapes of so many ranks, of one to three dimensions."""
    shapes = [(ranks,)]
    for one in range(1, ranks + 1):
        if ranks % one == 0:
            rest = ranks // one
            shapes.append((one, rest))
            shapes += [(one, two, rest // two) for two in range(1, rest + 1) if rest % two == 0]
    return tuple(shapes)


def _mesh(world: int, source: random.Random) -> Shape:
    ranks = world if source.random() < 0.75 else source.randint(1, world - 1)
    shapes = meshes(ranks)
    # Those without a dimension of one rank say more.
    return source.choices(shapes, [1 if 1 in shape else 4 for shape in shapes])[0]


def _ranks(count: int, world: int, source: random.Random) -> Shape:
    """In order, backwards, or the last of the group."""
    orders = (range(count), range(count)[::-1], range(world - count, world))
    return tuple(source.choices(orders, (6, 2, 2))[0])


def _sizes(source: random.Random, least: int, most: int, dimensions: int) -> Shape:
    return tuple(source.randint(least, most) for _ in range(dimensions))


def _shape(scheme: str, source: random.Random) -> Shape:
    """A shape that the scheme takes, if it is not one of the few that no scheme does."""
    chance = source.random()
    if scheme == "delta_orthogonal_":
        inward = source.choice((source.randint(1, 9), 70))
        shape = (inward + source.randint(0, 8), inward, *_sizes(source, 1, 4, source.randint(1, 3)))
    elif scheme == "dirac_":
        shape = (12 * source.randint(1, 2), *_sizes(source, 1, 5, source.randint(2, 4)))
    elif scheme in ("eye_", "sparse_"):
        shape = (97, 61) if chance < 0.1 else _sizes(source, 1, 20, 2)
    elif scheme == "orthogonal_":
        shape = (12 * source.randint(1, 3), *_sizes(source, 1, 16, source.randint(1, 3)))
        shape = source.choice(((132, 70), (72, 150), (96, 9, 9))) if chance < 0.5 else shape
    elif scheme.startswith(FAN):
        shape = _sizes(source, 1, 9, source.randint(2 if chance < 0.97 else 1, 5))
    elif chance < 0.15:
        shape = source.choice(((4999,), (131, 67), (8, 16, 5, 9)))
    else:
        shape = _sizes(source, 1, 9, source.randint(0, 5))
    if shape and 0.9 < chance < 0.95:
        empty = source.randrange(len(shape))
        shape = (*shape[:empty], 0, *shape[empty + 1 :])
    return shape


def _arguments(scheme: str, shape: Shape, dtype: str, source: random.Random) -> dict[str, Any]:
    given = {
        name: source.choice(values)
        for name, values in NUMBERS[scheme].items()
        if source.random() < 0.8 or name == "sparsity"
    }
    if scheme == "constant_":
        given["val"] = {"int64": 2**53 + 1, "int8": -3, "bool": True, COMPLEX: 1 + 2j}.get(
            dtype, source.choice((0.25, -0.1, 3.0))
        )
    elif scheme == "dirac_":
        given["groups"] = source.choice((1, 1, 2, 3, 4))
    elif scheme == "orthogonal_":
        given["batch_dims"] = source.choice((0, 0, min(len(shape) - 2, 1)))
        rows = shape[given["batch_dims"]]
        given["chunks"] = source.choice([n for n in (1, 1, 2, 3, 4) if rows % n == 0])
    elif scheme == "trunc_normal_" and source.random() < 0.2:
        given |= source.choice(({"a": 0.0, "b": math.inf}, {"a": 5.0, "b": 7.0}, {"std": 0.0}))
    return given


def _only_of_classes(scheme: str, shape: Shape, source: random.Random) -> dict[str, Any]:
    """Arguments that the functions do not have."""
    if scheme == "trunc_normal_":
        return {"bounds": source.choice(("absolute", "sigma"))}
    if not scheme.startswith(FAN) or len(shape) < 2:
        return {}
    given: dict[str, Any] = {}
    if source.random() < 0.3:
        given |= {"in_axis": 0, "out_axis": -1}
    if len(shape) > 2 and source.random() < 0.3:
        given |= {"in_axis": 1, "out_axis": 2, "batch_axis": 0}
    elif source.random() < 0.5:
        given[source.choice(("groups", "chunks"))] = source.choice(
            [parts for parts in (1, 2, 3, 4) if shape[0] % parts == 0]
        )
    return given


def _placements(
    mesh: Shape, shape: Shape, scheme: str, source: random.Random
) -> tuple[tuple[Placement, ...], Shape]:
    """Of every kind; and the shape, one size of which may be made to divide evenly."""
    placed = [_placement(size, len(shape), source) for size in mesh]
    if (
        len(mesh) > 1
        and shape
        and not scheme.startswith(("delta_orthogonal", "dirac", "orthogonal"))
        and source.random() < 0.25
    ):  # FSDP2 over tensor parallelism
        dim = source.randrange(len(shape))
        inner = math.prod(mesh[1:])
        placed = [Placement("T", dim, inner), *(Placement("S", dim) for _ in mesh[1:])]
        if source.random() < 0.2:  # of a fused weight
            placed[-1] = Placement("T", dim, source.randint(2, 3))
        if source.random() < 0.6:
            even = mesh[0] * inner * source.randint(1, 2)
            shape = (*shape[:dim], even, *shape[dim + 1 :])
        return tuple(placed), shape
    split = [placement.dim % len(shape) for placement in placed if placement.is_split]
    if len(set(split)) < len(split):  # with a strided shard the rows could not be told
        placed = [Placement("S", one.dim) if one.kind == "T" else one for one in placed]
    return tuple(placed), shape


def _placement(size: int, dimensions: int, source: random.Random) -> Placement:
    chance = source.random()
    if size == 1 and chance < 0.3:
        return Placement("P")
    if chance > 0.97:
        return Placement("P")
    if dimensions == 0 or chance < 0.2:
        return Placement("R")
    if chance < 0.4:
        return Placement("T", source.randrange(dimensions), source.randint(1, 4))
    return Placement("S", source.randrange(-dimensions, dimensions))
