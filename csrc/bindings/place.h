// What the bindings of all fills share: the arguments that each begins with, and what they mean.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <stdexcept>
#include <string_view>

#include "fill/fill.h"
#include "platform/floating_point.h"
#include "platform/interruption.h"
#include "values/distributions.h"

namespace winit_cuda {

constexpr int kCpu = -1;  // a device code beside the CUDA devices 0, 1, ...

// Each of these throws std::invalid_argument for what it cannot take.
DType dtype_of(int code);

// The box of `count` elements: all of a contiguous tensor where `given` is None, else (sizes,
// strides, index_strides, index_offset). `merge` makes one dimension of those that lie one behind
// the other.
Box box_of(int64_t count, const pybind11::handle& given, bool merge);

// Adds a dimension.
void append(Box& box, int64_t size, int64_t stride, uint64_t index_stride);

// The same elements in the order of memory, for a fill that does not look at the index.
Box in_memory_order(const Box& box);

// Makes an empty box that of all elements of a contiguous tensor.
inline void make_row(Box& box, int64_t count) {
  box.rank = 1;
  box.size[0] = count;
  box.stride[0] = 1;
  box.index_stride[0] = 1;
}

// Arguments, read by CPython's own calls. Each throws pybind11::error_already_set.
template <class Value>
Value checked(Value value) {
  if (value == static_cast<Value>(-1) && PyErr_Occurred()) throw pybind11::error_already_set();
  return value;
}
inline int64_t as_int64(PyObject* given) { return checked<int64_t>(PyLong_AsLongLong(given)); }
inline uint64_t as_word(PyObject* given) {
  return checked<uint64_t>(PyLong_AsUnsignedLongLong(given));
}
inline uintptr_t as_address(PyObject* given) {
  void* const value = PyLong_AsVoidPtr(given);
  if (!value && PyErr_Occurred()) throw pybind11::error_already_set();
  return reinterpret_cast<uintptr_t>(value);
}
inline double as_number(PyObject* given) { return checked(PyFloat_AsDouble(given)); }
// Lives as long as the string.
inline std::string_view utf8_of(PyObject* given) {
  Py_ssize_t size;
  const char* const text = PyUnicode_AsUTF8AndSize(given, &size);
  if (!text) throw pybind11::error_already_set();
  return {text, static_cast<size_t>(size)};
}
inline int as_int(PyObject* given) {
  const int64_t value = as_int64(given);
  if (value != static_cast<int>(value)) throw std::invalid_argument("an argument is out of range");
  return static_cast<int>(value);
}

// The arguments that every fill begins with.
struct Place {
  uintptr_t pointer;
  int dtype;
  int64_t count;
  pybind11::handle box;
  int device;
  uintptr_t stream;
  int threads;
  DefaultFloatingPoint environment = {};  // for as long as the fill is set up and runs

  Target target() const {
    return {reinterpret_cast<void*>(pointer), dtype_of(dtype), box_of(count, box, true)};
  }
};

// Who names the key of a fill, in three arguments:
//   0, seed, stream       the caller;
//   address, -, -         the two words at that address, in the target's memory;
//   draw, address, -      a generator: draw() puts the words at the address, in memory of the host,
//                         or returns them, a tuple of two.
// Asked for when all else is ready: from the draw on nothing may fail, and no code of Python's runs
// between it and the fill.
inline Source source_of(int device, PyObject* key, uint64_t seed, uint64_t stream) {
  const uint64_t* words = nullptr;
  if (PyLong_Check(key)) {
    words = reinterpret_cast<const uint64_t*>(as_address(key));
    if (!words || device != kCpu) return {make_stream_key(seed, stream), words, Domain::kElement};
  } else {
    const auto drawn = pybind11::reinterpret_steal<pybind11::object>(PyObject_CallNoArgs(key));
    if (!drawn) throw pybind11::error_already_set();
    if (PyTuple_Check(drawn.ptr()) && PyTuple_GET_SIZE(drawn.ptr()) == 2)
      return {make_stream_key(as_word(PyTuple_GET_ITEM(drawn.ptr(), 0)),
                              as_word(PyTuple_GET_ITEM(drawn.ptr(), 1))),
              nullptr, Domain::kElement};
    words = reinterpret_cast<const uint64_t*>(static_cast<uintptr_t>(seed));
  }
  return {make_stream_key(words[0], words[1]), nullptr, Domain::kElement};
}
inline Source source_of(int device, pybind11::handle key, uint64_t seed, uint64_t stream) {
  return source_of(device, key.ptr(), seed, stream);
}

// The interpreter's lock is given up for the work, which Ctrl-C ends, or what else a handler of a
// signal throws.
class Unlocked {
 private:
  static void hear_signals() {
    const pybind11::gil_scoped_acquire locked;
    if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
  }

  pybind11::gil_scoped_release released_;
  Listening listening_{&hear_signals};
};

// Draws the key of a fill on the CPU when the core asks for it, and gives up the interpreter's lock
// from then on, until it goes.
class Drawing {
 public:
  Drawing(pybind11::handle key, uint64_t seed, uint64_t stream)
      : key_(key), seed_(seed), stream_(stream) {}

  StreamKey operator()() const {
    const Source source = source_of(kCpu, key_, seed_, stream_);
    unlocked_.emplace();
    return source.key;
  }

 private:
  pybind11::handle key_;
  uint64_t seed_, stream_;
  mutable std::optional<Unlocked> unlocked_;
};

// Each binding spells out the common arguments once, by this.
#define WINIT_PLACE                                                              \
  uintptr_t pointer, int dtype, int64_t numel, pybind11::handle box, int device, \
      uintptr_t cuda_stream, int threads
#define WINIT_GIVEN_PLACE \
  Place { pointer, dtype, numel, box, device, cuda_stream, threads }
#define WINIT_KEY pybind11::handle key, uint64_t seed, uint64_t stream

}  // namespace winit_cuda
