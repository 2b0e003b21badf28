#include "bindings/quick.h"

#include <stdexcept>

#include "platform/floating_point.h"
#include "values/distributions.h"

namespace winit_cuda {
namespace {

// (pointer, dtype, numel, threads, key_pointer, seed, stream, first, second)
constexpr Py_ssize_t kArguments = 9;

struct QuickCall {
  RandomFill fill{};
  int64_t count;
  int threads;
  double first, second;

  // False, with Python's error set, where an argument is not what it must be.
  bool parse(PyObject* const* arguments, Py_ssize_t given) {
    if (given != kArguments) {
      PyErr_Format(PyExc_TypeError, "a quick fill takes %zd arguments, not %zd", kArguments, given);
      return false;
    }
    fill.target.pointer = PyLong_AsVoidPtr(arguments[0]);
    const long dtype = PyLong_AsLong(arguments[1]);
    count = PyLong_AsLongLong(arguments[2]);
    threads = static_cast<int>(PyLong_AsLong(arguments[3]));
    const uint64_t* words = static_cast<const uint64_t*>(PyLong_AsVoidPtr(arguments[4]));
    const uint64_t seed = PyLong_AsUnsignedLongLong(arguments[5]);
    const uint64_t stream = PyLong_AsUnsignedLongLong(arguments[6]);
    first = PyFloat_AsDouble(arguments[7]);
    second = PyFloat_AsDouble(arguments[8]);
    if (PyErr_Occurred()) return false;
    if (dtype < 0 || dtype >= kDTypeCount) {
      PyErr_SetString(PyExc_ValueError, "dtype must be a code of DTYPES");
      return false;
    }
    fill.target.dtype = static_cast<DType>(dtype);
    Box& box = fill.target.box;
    box.rank = 1;
    box.size[0] = count;
    box.stride[0] = 1;
    box.index_stride[0] = 1;
    fill.source.key = words ? make_stream_key(words[0], words[1]) : make_stream_key(seed, stream);
    return true;
  }

  void run(const DistributionNumbers& numbers) {
    numbers.put_into(fill);
    if (count <= kQuickCount) return fill_cpu(fill, 1);
    const pybind11::gil_scoped_release unlocked;
    fill_cpu(fill, threads);
  }
};

template <class MakeNumbers>
PyObject* quick_fill(PyObject* const* arguments, Py_ssize_t given, const MakeNumbers& make) {
  QuickCall call;
  if (!call.parse(arguments, given)) return nullptr;
  try {
    const DefaultFloatingPoint environment;
    call.run(make(call));
  } catch (const std::invalid_argument& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
    return nullptr;
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* quick_uniform(PyObject*, PyObject* const* arguments, Py_ssize_t given) {
  return quick_fill(arguments, given, [](const QuickCall& call) {
    return uniform_numbers(call.fill.target.dtype, call.first, call.second);
  });
}

PyObject* quick_normal(PyObject*, PyObject* const* arguments, Py_ssize_t given) {
  return quick_fill(arguments, given, [](const QuickCall& call) {
    return normal_numbers(call.fill.target.dtype, call.first, call.second);
  });
}

using Plain = PyCFunction;

PyMethodDef quick_methods[] = {
    {"quick_uniform", reinterpret_cast<Plain>(reinterpret_cast<void (*)()>(quick_uniform)),
     METH_FASTCALL, nullptr},
    {"quick_normal", reinterpret_cast<Plain>(reinterpret_cast<void (*)()>(quick_normal)),
     METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void bind_quick_fills(pybind11::module_& module) {
  if (PyModule_AddFunctions(module.ptr(), quick_methods) != 0) throw pybind11::error_already_set();
}

}  // namespace winit_cuda
