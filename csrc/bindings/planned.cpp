// The fills of a plan, set up once; a run of the plan has the tensors.
//
// Tensors are read as DLPack describes them, the open standard for handing them between libraries.
// Its C interface takes a twentieth of the time of as many attributes read from Python. The
// declarations are those of version 1 of the standard, as far as they are needed:
// https://dmlc.github.io/dlpack/latest/c_api.html
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "bindings/bindings.h"
#include "bindings/lists.h"
#include "bindings/place.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

struct DLDevice {
  int32_t type, index;
};
constexpr int32_t kDLCpu = 1;

struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};

struct DLTensor {
  void* data;
  DLDevice device;
  int32_t rank;
  DLDataType dtype;
  const int64_t* sizes;
  const int64_t* strides;  // null where it is contiguous
  uint64_t byte_offset;
};

struct DLExchange {
  uint32_t major, minor;
  void* previous;
  void *allocate, *own, *give;
  int (*describe)(void* object, DLTensor* out);  // 0, or an exception is set; may be null
  void* current_stream;
};

// The dtype of a code, as DLPack describes it.
DLDataType described(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return {2, 64, 1};
    case DType::kFloat16:
      return {2, 16, 1};
    case DType::kBFloat16:
      return {4, 16, 1};
    case DType::kFloat8E4M3FN:
      return {10, 8, 1};
    case DType::kFloat8E5M2:
      return {12, 8, 1};
    default:
      return {2, 32, 1};
  }
}

bool operator==(const DLDataType& a, const DLDataType& b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

// Whether there are elements, in memory, which lie one behind the other.
bool is_contiguous(const DLTensor& tensor) {
  if (!tensor.data) return false;  // as where the storage was freed
  int64_t stride = 1;
  for (int d = tensor.rank - 1; d >= 0; --d) {
    const int64_t size = tensor.sizes[d];
    if (size == 0 || (size > 1 && tensor.strides && tensor.strides[d] != stride)) return false;
    stride *= size;
  }
  return true;
}

// What fills all of one contiguous tensor, but for where it lies.
struct PlannedFill {
  PlacedFill fill;
  std::string_view name;  // of its key
  const int64_t* sizes;
  int64_t elements;
  int32_t rank = -1;
  DLDataType dtype;

  bool is_for(const DLTensor& tensor) const {
    return tensor.device.type == kDLCpu && tensor.dtype == dtype && tensor.rank == rank &&
           std::equal(sizes, sizes + rank, tensor.sizes) && is_contiguous(tensor);
  }
};

class PlannedFills : public std::enable_shared_from_this<PlannedFills> {
 public:
  // `classes` are those of tensors that `capsule`, their `__dlpack_c_exchange_api__`, reads; both
  // live on. Each fill is (name, sizes, item), the item with the address 0; or None, and no tensor
  // is what it is for.
  PlannedFills(const py::capsule& capsule, const py::tuple& classes, const py::list& fills)
      : given_(py::cast<std::vector<std::optional<Given>>>(fills)) {
    void* const found = PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api");
    if (!found) throw py::error_already_set();
    const auto* exchange = static_cast<const DLExchange*>(found);
    if (exchange->major == 1) describe_ = exchange->describe;
    for (const py::handle one : classes) classes_.push_back(one.ptr());
    const DefaultFloatingPoint environment;
    list_.fills.reserve(given_.size());  // they stay where they are
    fills_.reserve(given_.size());
    for (const std::optional<Given>& given : given_) fills_.push_back(added(given));
  }

  // Of each tensor fill numbers[i], where it is what that is for, and the places of all others. A
  // number may be that of no fill.
  py::tuple of(const py::list& tensors, const py::list& numbers) const {
    const size_t count = tensors.size();
    if (numbers.size() != count) throw std::invalid_argument("tensors need as many numbers");
    NamedFills found;
    found.fills.reserve(count);
    found.names.reserve(count);
    found.plan = shared_from_this();
    py::list others;
    for (size_t i = 0; i < count; ++i) {
      const auto number = static_cast<size_t>(as_int64(PyList_GET_ITEM(numbers.ptr(), i)));
      DLTensor tensor;
      if (number >= fills_.size() || !describe(PyList_GET_ITEM(tensors.ptr(), i), tensor) ||
          !fills_[number].is_for(tensor)) {
        others.append(i);
        continue;
      }
      PlacedFill fill = fills_[number].fill;
      fill.pointer = static_cast<unsigned char*>(tensor.data) + tensor.byte_offset;
      found.fills.add(fill);
      found.names.push_back(fills_[number].name);
      found.elements += fills_[number].elements;
    }
    return py::make_tuple(std::move(found), others);
  }

 private:
  using Given = std::tuple<std::string, std::vector<int64_t>, py::tuple>;

  PlannedFill added(const std::optional<Given>& given) {
    if (!given) return {};
    const auto& [name, sizes, item] = *given;
    add_item(item.ptr(), list_);
    return {placed(list_.fills.back()),
            name,
            sizes.data(),
            as_int64(item[3].ptr()),
            static_cast<int32_t>(sizes.size()),
            described(dtype_of(as_int(item[2].ptr())))};
  }

  bool describe(PyObject* object, DLTensor& tensor) const {
    PyObject* const type = reinterpret_cast<PyObject*>(Py_TYPE(object));
    if (!describe_ || std::find(classes_.begin(), classes_.end(), type) == classes_.end())
      return false;
    if (describe_(object, &tensor) == 0) return true;
    PyErr_Clear();  // it has no memory of its own
    return false;
  }

  std::vector<std::optional<Given>> given_;
  FillList list_;
  std::vector<PlannedFill> fills_;
  std::vector<PyObject*> classes_;
  decltype(DLExchange::describe) describe_ = nullptr;
};

void run(const NamedFills& fills, uint64_t seed, uint64_t stream, int threads) {
  if (fills.names.empty()) return;
  const Unlocked unlocked;
  fill_many_cpu(fills.fills, ListKeys(make_stream_key(seed, stream), fills.names.data()), threads);
}

}  // namespace

void bind_planned_fills(py::module_& module) {
  py::class_<NamedFills>(module, "NamedFills")
      .def_readonly("elements", &NamedFills::elements)
      .def_property_readonly(
          "overlap",
          [](const NamedFills& fills) { return find_overlap({&fills.fills}).has_value(); })
      .def("run", &run);
  py::class_<PlannedFills, std::shared_ptr<PlannedFills>>(module, "PlannedFills")
      .def(py::init<const py::capsule&, const py::tuple&, const py::list&>())
      .def("of", &PlannedFills::of);
}

}  // namespace winit_cuda
