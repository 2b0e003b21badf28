// Tensors as DLPack describes them, the open standard for handing them between libraries. Its C
// interface takes a twentieth of the time of as many attributes read from Python.
//
// The declarations are those of version 1 of the standard, as far as they are needed:
// https://dmlc.github.io/dlpack/latest/c_api.html
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "bindings/calls.h"
#include "values/dtype.h"

namespace winit_cuda {

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

inline bool operator==(const DLDataType& a, const DLDataType& b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

// The dtype of a code, as DLPack describes it.
inline DLDataType described(DType dtype) {
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

// The other way round: the code, or -1 where there is none.
inline int code_of(const DLDataType& described_dtype) {
  for (int code = 0; code < kDTypeCount; ++code)
    if (described_dtype == described(static_cast<DType>(code))) return code;
  return -1;
}

inline void* address_of(const DLTensor& tensor) {
  return static_cast<unsigned char*>(tensor.data) + tensor.byte_offset;
}

// Reads tensors that are contiguous, on the CPU, have elements, and are of these classes, not of
// derived ones.
class TensorReader {
 public:
  // `capsule` is the `__dlpack_c_exchange_api__` of the classes. All of them live on. The `doubts`
  // are functions that ask a tensor what that does not say.
  TensorReader(const pybind11::capsule& capsule, const pybind11::tuple& classes,
               pybind11::tuple doubts)
      : doubts_(std::move(doubts)) {
    void* const found = PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api");
    if (!found) throw pybind11::error_already_set();
    const auto* exchange = static_cast<const DLExchange*>(found);
    if (exchange->major == 1) describe_ = exchange->describe;
    for (const pybind11::handle one : classes) classes_.push_back(one.ptr());
  }

  // False for all other objects, and where a doubt is not False.
  bool read(PyObject* object, DLTensor& tensor) const {
    PyObject* const type = reinterpret_cast<PyObject*>(Py_TYPE(object));
    if (!describe_ || std::find(classes_.begin(), classes_.end(), type) == classes_.end())
      return false;
    if (describe_(object, &tensor) != 0) {
      PyErr_Clear();  // it has no memory of its own
      return false;
    }
    return tensor.device.type == kDLCpu && is_contiguous(tensor) && !is_doubtful(object);
  }

 private:
  bool is_doubtful(PyObject* object) const {
    return std::any_of(doubts_.begin(), doubts_.end(), [&](const pybind11::handle doubt) {
      return !owned(PyObject_CallOneArg(doubt.ptr(), object)).is(pybind11::handle(Py_False));
    });
  }

  static bool is_contiguous(const DLTensor& tensor) {
    if (!tensor.data) return false;  // as where the storage was freed
    int64_t stride = 1;
    for (int d = tensor.rank - 1; d >= 0; --d) {
      const int64_t size = tensor.sizes[d];
      if (size == 0 || (size > 1 && tensor.strides && tensor.strides[d] != stride)) return false;
      stride *= size;
    }
    return true;
  }

  pybind11::tuple doubts_;
  std::vector<PyObject*> classes_;
  decltype(DLExchange::describe) describe_ = nullptr;
};

}  // namespace winit_cuda
