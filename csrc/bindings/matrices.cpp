// The fills that look at a whole matrix.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "bindings/bindings.h"
#include "bindings/place.h"
#include "orthogonal/orthogonal.h"
#include "orthogonal/reflectors.h"
#include "platform/memory.h"
#include "sparse/sparse.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

void check_part(const char* what, int64_t first, int64_t count, int64_t size) {
  if (first < 0 || count < 0 || first > size - count)
    throw std::invalid_argument(std::string("the ") + what + "s of the part must be in [0, " +
                                std::to_string(size) + ")");
}

// The items of a tuple of so many, or of a list.
PyObject* items_of(const char* what, const py::handle& given, Py_ssize_t size) {
  if (!PyTuple_Check(given.ptr()) || PyTuple_GET_SIZE(given.ptr()) != size)
    throw std::invalid_argument(std::string(what) + " is a tuple of " + std::to_string(size));
  return given.ptr();
}

py::list list_of(PyObject* given) {
  if (!PyList_Check(given)) throw std::invalid_argument("boxes and ranges come in lists");
  return py::reinterpret_borrow<py::list>(given);
}

SparseFill sparse_fill(DType dtype, int64_t rows, int64_t columns, int64_t zeros_per_column,
                       double std) {
  if (zeros_per_column < 0 || zeros_per_column > rows)
    throw std::invalid_argument("zeros_per_column must be in [0, rows], not " +
                                std::to_string(zeros_per_column));
  return {{{nullptr, dtype, Box{}}, {}, normal_law(dtype, 0, std).law},
          rows,
          columns,
          zeros_per_column,
          nullptr};
}

void write_sparse(SparseFill& fill, const SparseColumns* parts, int64_t count, int device,
                  uintptr_t cuda_stream, int threads, WINIT_KEY) {
  if (device == kCpu) return sparse_cpu(fill, parts, count, threads, Drawing(key, seed, stream));
  fill.normal.source = source_of(device, key, seed, stream);
  const Unlocked unlocked;
  sparse_cuda(fill, parts, count, {device, reinterpret_cast<void*>(cuda_stream)});
}

void sparse(WINIT_PLACE, WINIT_KEY, int64_t rows, int64_t columns, int64_t zeros_per_column,
            double std, uintptr_t workspace) {
  const DefaultFloatingPoint environment;
  SparseFill fill = sparse_fill(dtype_of(dtype), rows, columns, zeros_per_column, std);
  if (numel == 0) return;
  Target target{reinterpret_cast<void*>(pointer), dtype_of(dtype), Box{}};
  if (box.is_none()) {
    if (rows < 0 || columns < 0 || times(rows, columns) != numel)
      throw std::invalid_argument("numel must be rows * columns");
    append(target.box, rows, columns, static_cast<uint64_t>(columns));
    append(target.box, columns, 1, 1);
  } else {
    target.box = box_of(numel, box, false);
  }
  if (target.box.rank != 2) throw std::invalid_argument("sparse takes a matrix");
  fill.normal.target = target;
  const SparseColumns all{local_columns(fill), &target, 1,
                          reinterpret_cast<SparseThreshold*>(workspace)};
  write_sparse(fill, &all, 1, device, cuda_stream, threads, key, seed, stream);
}

// (pointer, numel, box)
Target sparse_box(const py::handle& given, DType dtype) {
  PyObject* const items = items_of("a box", given, 3);
  const auto item = [&](Py_ssize_t i) { return PyTuple_GET_ITEM(items, i); };
  const Target target{reinterpret_cast<void*>(as_address(item(0))), dtype,
                      box_of(as_int64(item(1)), item(2), false)};
  if (target.box.rank != 2 || element_count(target.box) == 0)
    throw std::invalid_argument("sparse takes boxes of a matrix that have elements");
  return target;
}

// Of (first_column, column_count, boxes) each. `targets` holds the boxes.
Vector<SparseColumns> sparse_parts(const py::list& given, SparseFill fill, uintptr_t workspace,
                                   Vector<Target>& targets) {
  Vector<SparseColumns> parts;
  parts.reserve(given.size());
  size_t boxes = 0;
  for (const py::handle part : given)
    boxes += list_of(PyTuple_GET_ITEM(items_of("a part", part, 3), 2)).size();
  targets.reserve(boxes);  // pointers into it stay
  auto* thresholds = reinterpret_cast<SparseThreshold*>(workspace);
  for (const py::handle part : given) {
    const ColumnRange range{as_int64(PyTuple_GET_ITEM(part.ptr(), 0)),
                            as_int64(PyTuple_GET_ITEM(part.ptr(), 1))};
    check_part("column", range.first, range.count, fill.columns);
    const py::list list = list_of(PyTuple_GET_ITEM(part.ptr(), 2));
    parts.push_back(
        {range, targets.data() + targets.size(), static_cast<int64_t>(list.size()), thresholds});
    if (thresholds) thresholds += range.count;
    for (const py::handle box : list) {
      fill.normal.target = sparse_box(box, fill.normal.target.dtype);
      const ColumnRange local = local_columns(fill);
      if (local.first < range.first || local.count > range.first + range.count - local.first)
        throw std::invalid_argument("a box has other columns than its part");
      targets.push_back(fill.normal.target);
    }
  }
  return parts;
}

void sparse_boxes(const py::list& given, int dtype, int device, uintptr_t cuda_stream, int threads,
                  WINIT_KEY, int64_t rows, int64_t columns, int64_t zeros_per_column, double std,
                  uintptr_t workspace) {
  const DefaultFloatingPoint environment;
  SparseFill fill = sparse_fill(dtype_of(dtype), rows, columns, zeros_per_column, std);
  Vector<Target> targets;
  const Vector<SparseColumns> parts = sparse_parts(given, fill, workspace, targets);
  if (parts.empty()) return;
  write_sparse(fill, parts.data(), static_cast<int64_t>(parts.size()), device, cuda_stream, threads,
               key, seed, stream);
}

OrthogonalFill fill_of(const Target& target, int64_t numel, int64_t rows, int64_t columns,
                       int64_t first_row, int64_t row_count, int64_t first_column,
                       int64_t column_count, double gain) {
  check_part("row", first_row, row_count, rows);
  check_part("column", first_column, column_count, columns);
  if (times(row_count, column_count) != numel)
    throw std::invalid_argument("the part must have as many elements as the tensor, " +
                                std::to_string(numel));
  return {target, rows, columns, first_row, row_count, first_column, column_count, gain};
}

void orthogonal(WINIT_PLACE, WINIT_KEY, int64_t rows, int64_t columns, int64_t first_row,
                int64_t row_count, int64_t first_column, int64_t column_count, double gain) {
  const Place place = WINIT_GIVEN_PLACE;
  if (device != kCpu) throw std::invalid_argument("whole orthogonal matrices are made on the CPU");
  const OrthogonalFill fill = fill_of(place.target(), numel, rows, columns, first_row, row_count,
                                      first_column, column_count, gain);
  if (numel == 0) return;
  bool are_columns;
  const LineRange range = range_of(fill, are_columns);
  const OrthogonalLines lines{&fill, 1, &range, 1, are_columns};
  orthogonal_cpu(&lines, 1, threads, Drawing(key, seed, stream));
}

// Reads what `orthogonal_boxes` is given, and holds it.
class OrthogonalMatrices {
 public:
  OrthogonalMatrices(const py::list& given, DType dtype, double gain) : dtype_(dtype), gain_(gain) {
    size_t fills = 0, ranges = 0;
    for (const py::handle matrix : given) {
      PyObject* const items = items_of("a matrix", matrix, 6);
      ranges += list_of(PyTuple_GET_ITEM(items, 4)).size();
      fills += list_of(PyTuple_GET_ITEM(items, 5)).size();
    }
    lines_.reserve(given.size());
    ranges_.reserve(ranges);  // pointers into both stay
    fills_.reserve(fills);
    for (const py::handle matrix : given) add(matrix.ptr());
  }

  const Vector<OrthogonalLines>& lines() const { return lines_; }

 private:
  // (child, rows, columns, are_columns, ranges, boxes)
  void add(PyObject* matrix) {
    const auto number = [&](Py_ssize_t i) { return as_int64(PyTuple_GET_ITEM(matrix, i)); };
    const int64_t child = number(0), rows = number(1), columns = number(2);
    if (child < kOwnKey) throw std::invalid_argument("child must be at least -1");
    OrthogonalLines lines{fills_.data() + fills_.size(),
                          0,
                          ranges_.data() + ranges_.size(),
                          0,
                          number(3) != 0,
                          child};
    add_ranges(list_of(PyTuple_GET_ITEM(matrix, 4)), lines.are_columns ? columns : rows);
    for (const py::handle box : list_of(PyTuple_GET_ITEM(matrix, 5))) add_box(box, rows, columns);
    lines.fill_count = fills_.data() + fills_.size() - lines.fills;
    lines.range_count = ranges_.data() + ranges_.size() - lines.ranges;
    for (int64_t i = 0; i < lines.fill_count; ++i) check_ranges(lines, lines.fills[i]);
    if (lines.fill_count > 0) lines_.push_back(lines);
  }

  // (first, count), in ascending order.
  void add_ranges(const py::list& given, int64_t size) {
    int64_t end = 0;
    for (const py::handle range : given) {
      PyObject* const items = items_of("a range", range, 2);
      const LineRange next{as_int64(PyTuple_GET_ITEM(items, 0)),
                           as_int64(PyTuple_GET_ITEM(items, 1))};
      check_part("line", next.first, next.count, size);
      if (next.first < end || next.count == 0)
        throw std::invalid_argument("the ranges of lines must ascend, none of them empty");
      end = next.first + next.count;
      ranges_.push_back(next);
    }
  }

  // (pointer, numel, box, first_row, row_count, first_column, column_count)
  void add_box(const py::handle& given, int64_t rows, int64_t columns) {
    PyObject* const items = items_of("a box", given, 7);
    const auto number = [&](Py_ssize_t i) { return as_int64(PyTuple_GET_ITEM(items, i)); };
    const Target target{reinterpret_cast<void*>(as_address(PyTuple_GET_ITEM(items, 0))), dtype_,
                        box_of(number(1), PyTuple_GET_ITEM(items, 2), true)};
    if (number(1) == 0) throw std::invalid_argument("a box must have elements");
    fills_.push_back(fill_of(target, number(1), rows, columns, number(3), number(4), number(5),
                             number(6), gain_));
  }

  static void check_ranges(const OrthogonalLines& lines, const OrthogonalFill& fill) {
    const int64_t first = lines.are_columns ? fill.first_column : fill.first_row;
    const int64_t end = first + (lines.are_columns ? fill.column_count : fill.row_count);
    const LineRange* const last = lines.ranges + lines.range_count;
    const bool is_in = std::any_of(lines.ranges, last, [&](const LineRange& range) {
      return range.first <= first && end <= range.first + range.count;
    });
    if (!is_in) throw std::invalid_argument("a box must lie in a range of lines");
  }

  DType dtype_;
  double gain_;
  Vector<OrthogonalLines> lines_;
  Vector<LineRange> ranges_;
  Vector<OrthogonalFill> fills_;
};

void orthogonal_boxes(const py::list& given, int dtype, WINIT_KEY, double gain, int threads) {
  const DefaultFloatingPoint environment;
  const OrthogonalMatrices matrices(given, dtype_of(dtype), gain);
  if (matrices.lines().empty()) return;
  orthogonal_cpu(matrices.lines().data(), static_cast<int64_t>(matrices.lines().size()), threads,
                 Drawing(key, seed, stream));
}

void check_sides(int64_t count, int64_t rows, int64_t columns) {
  if (count < 0 || rows < 1 || columns < 1)
    throw std::invalid_argument("rows and columns must be positive, count at least 0");
}

bool is_small(int64_t rows, int64_t columns) {
  return std::max(rows, columns) <= kBatchLongest && std::min(rows, columns) <= kBatchShortest;
}

int64_t workspace_bytes(const OrthogonalBatch& batch, int device) {
  if (device == kCpu) return 0;
  if (!is_small(batch.rows, batch.columns))
    throw std::invalid_argument("the kernel takes matrices up to 1024x256");
  return orthogonal_batch_workspace_cuda(batch, device);
}

int64_t orthogonal_batch_workspace(int64_t count, int64_t rows, int64_t columns, int device) {
  check_sides(count, rows, columns);
  OrthogonalBatch batch{};
  batch.count = count;
  batch.rows = rows;
  batch.columns = columns;
  return workspace_bytes(batch, device);
}

void orthogonal_batch(WINIT_PLACE, WINIT_KEY, int64_t count, int64_t rows, int64_t columns,
                      double gain, uintptr_t workspace) {
  constexpr int64_t kLongestSide = int64_t{1} << 31;
  const Place place = WINIT_GIVEN_PLACE;
  check_sides(count, rows, columns);
  const bool overflows = rows > kLongestSide || columns > kLongestSide;
  const int64_t length = overflows ? 0 : rows * columns;
  if (numel ? overflows || numel % length || count != numel / length : count)
    throw std::invalid_argument("numel must be count * rows * columns");
  if (numel == 0) return;
  OrthogonalBatch batch{
      place.target(), {}, count, rows, columns, gain, reinterpret_cast<double*>(workspace)};
  if (!workspace && workspace_bytes(batch, device) > 0)
    throw std::invalid_argument("these matrices need a workspace");
  if (device == kCpu) return orthogonal_batch_cpu(batch, threads, Drawing(key, seed, stream));
  batch.source = source_of(device, key, seed, stream);
  const Unlocked unlocked;
  orthogonal_batch_cuda(batch, {device, reinterpret_cast<void*>(cuda_stream)});
}

void reflectors(uintptr_t pointer, int dtype, int64_t rows, int64_t columns, int64_t first,
                int64_t count, uintptr_t signs, int device, uintptr_t cuda_stream, int threads,
                WINIT_KEY) {
  if (rows < columns) throw std::invalid_argument("reflectors need rows >= columns");
  if (first < 0 || count < 0 || first > columns - count)
    throw std::invalid_argument("[first, first + count) must be in [0, columns)");
  const Reflectors wanted =
      reflectors_of(reinterpret_cast<void*>(pointer), reinterpret_cast<void*>(signs),
                    dtype_of(dtype), rows, columns, first, count);
  if (wanted.dtype != DType::kFloat32 && wanted.dtype != DType::kFloat64)
    throw std::invalid_argument("reflectors are float32 or float64");
  if (count == 0) return;
  const Source source = source_of(device, key, seed, stream);
  const DefaultFloatingPoint environment;
  const Unlocked unlocked;
  if (device == kCpu)
    reflectors_cpu(wanted, source, threads);
  else
    reflectors_cuda(wanted, source, {device, reinterpret_cast<void*>(cuda_stream)});
}

}  // namespace

void bind_matrices(py::module_& module) {
  module.def("sparse", &sparse);
  module.def("sparse_boxes", &sparse_boxes);
  module.def("orthogonal", &orthogonal);
  module.def("orthogonal_boxes", &orthogonal_boxes);
  module.def("orthogonal_is_slow", &is_slow_on_cpu);
  module.def("orthogonal_batch_takes", &is_small);
  module.def("orthogonal_batch_workspace", &orthogonal_batch_workspace);
  module.def("orthogonal_batch", &orthogonal_batch);
  module.def("reflectors", &reflectors);
  module.def("reflector_head", [](double first, double square, bool is_last_row) {
    const ReflectorHead head = reflector_head(first, square, is_last_row);
    return py::make_tuple(head.sign, head.head, head.scale);
  });
  module.def("free_kept_memory", &free_kept_memory);
}

}  // namespace winit_cuda
