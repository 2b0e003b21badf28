// Tensors as DLPack describes them, the open standard for handing them between libraries. Its C
// interface takes a twentieth of the time of as many attributes read from Python.
//
// The declarations are those of version 1 of the standard, as far as they are needed:
// https://dmlc.github.io/dlpack/latest/c_api.html
#include <algorithm>
#include <stdexcept>

#include "bindings/bindings.h"
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

bool has_dtype(const DLTensor& tensor, DType dtype) {
  const DLDataType wanted = described(dtype);
  return tensor.dtype.code == wanted.code && tensor.dtype.bits == wanted.bits &&
         tensor.dtype.lanes == wanted.lanes;
}

// Whether there are elements, which lie one behind the other.
bool is_contiguous(const DLTensor& tensor) {
  int64_t stride = 1;
  for (int d = tensor.rank - 1; d >= 0; --d) {
    const int64_t size = tensor.sizes[d];
    if (size == 0 || (size > 1 && tensor.strides && tensor.strides[d] != stride)) return false;
    stride *= size;
  }
  return true;
}

bool has_sizes(const DLTensor& tensor, PyObject* sizes) {
  if (!PyTuple_Check(sizes) || PyTuple_GET_SIZE(sizes) != tensor.rank) return false;
  for (int d = 0; d < tensor.rank; ++d)
    if (as_int64(PyTuple_GET_ITEM(sizes, d)) != tensor.sizes[d]) return false;
  return true;
}

// The address of a contiguous tensor on the CPU of these sizes and this dtype; 0 for any other.
uintptr_t address_of(const DLExchange& exchange, PyObject* object, PyObject* sizes, int dtype) {
  if (dtype < 0) return 0;
  DLTensor tensor;
  if (exchange.describe(object, &tensor) != 0) {
    PyErr_Clear();  // it has no memory of its own
    return 0;
  }
  if (tensor.device.type != kDLCpu || !has_dtype(tensor, dtype_of(dtype)) ||
      !is_contiguous(tensor) || !has_sizes(tensor, sizes))
    return 0;
  return reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset;
}

py::list addresses(const py::capsule& capsule, const py::tuple& classes, const py::list& objects,
                   const py::list& sizes, const py::list& dtypes) {
  const size_t count = objects.size();
  if (sizes.size() != count || dtypes.size() != count)
    throw std::invalid_argument("sizes and dtypes must be as many as objects");
  const auto& exchange =
      *static_cast<const DLExchange*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  const bool is_known = exchange.major == 1 && exchange.describe;
  py::list found(count);
  for (size_t i = 0; i < count; ++i) {
    PyObject* const object = PyList_GET_ITEM(objects.ptr(), i);
    uintptr_t address = 0;
    const auto is_class = [type = py::type::handle_of(object)](py::handle one) {
      return one.is(type);
    };
    if (is_known && std::any_of(classes.begin(), classes.end(), is_class))
      address = address_of(exchange, object, PyList_GET_ITEM(sizes.ptr(), i),
                           as_int(PyList_GET_ITEM(dtypes.ptr(), i)));
    found[i] = py::int_(address);
  }
  return found;
}

}  // namespace

void bind_exchange(py::module_& module) { module.def("addresses", &addresses); }

}  // namespace winit_cuda
