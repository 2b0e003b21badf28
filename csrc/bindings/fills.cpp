// The fills of one law: for each law of values/distributions.h a function of its name, and a quick
// one, quick_<name>, for contiguous tensors on the CPU.
//
// They go by CPython's own calling convention: pybind11's costs as much as filling a hundred
// elements.
#include <list>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "bindings/bindings.h"
#include "bindings/exchange.h"
#include "bindings/place.h"
#include "fill/fill.h"
#include "platform/tuning.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

// None, or null with Python's error set.
template <class Body>
PyObject* result_of(const Body& body) {
  try {
    body();
  } catch (py::error_already_set& error) {
    error.restore();
    return nullptr;
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  } catch (const std::invalid_argument& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
    return nullptr;
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
  Py_RETURN_NONE;
}

// (pointer, numel, dtype) of a tensor that a quick fill takes; None for any other object. The
// reader is the function's `self`.
PyObject* place_of(PyObject* self, PyObject* object) {
  const auto& reader = *static_cast<const TensorReader*>(PyCapsule_GetPointer(self, nullptr));
  DLTensor tensor;
  try {
    if (!reader.read(object, tensor)) Py_RETURN_NONE;
  } catch (py::error_already_set& error) {
    error.restore();
    return nullptr;
  }
  const int dtype = code_of(tensor.dtype);
  if (dtype < 0) Py_RETURN_NONE;
  long long count = 1;
  for (int d = 0; d < tensor.rank; ++d) count *= tensor.sizes[d];
  return Py_BuildValue("NLi", PyLong_FromVoidPtr(address_of(tensor)), count, dtype);
}

py::object reader(const py::capsule& capsule, const py::tuple& classes, const py::tuple& doubts) {
  static PyMethodDef definition = {"place_of", &place_of, METH_O, nullptr};
  const auto forget = [](void* reader) { delete static_cast<TensorReader*>(reader); };
  const py::capsule own(new TensorReader(capsule, classes, doubts), forget);
  PyObject* const function = PyCFunction_NewEx(&definition, own.ptr(), nullptr);
  if (!function) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(function);
}

// The law that a function fills by is its `self`.
const NamedLaw& law_of(PyObject* self) {
  return *static_cast<const NamedLaw*>(PyCapsule_GetPointer(self, nullptr));
}

// Behind the arguments that all laws have come the law's own parameters. False, with Python's error
// set, where one of them is missing or not a number.
bool read_parameters(const NamedLaw& law, PyObject* const* arguments, Py_ssize_t common,
                     Py_ssize_t given, double (&parameters)[kMostParameters]) {
  if (given != common + law.parameter_count) {
    PyErr_Format(PyExc_TypeError, "a fill by %s takes %zd arguments, not %zd", law.name,
                 common + law.parameter_count, given);
    return false;
  }
  for (int i = 0; i < law.parameter_count; ++i)
    parameters[i] = PyFloat_AsDouble(arguments[common + i]);
  return !PyErr_Occurred();
}

// (pointer, dtype, numel, box, device, cuda_stream, threads, key, seed, stream, *parameters)
PyObject* fill(PyObject* self, PyObject* const* arguments, Py_ssize_t given) {
  const NamedLaw& law = law_of(self);
  double parameters[kMostParameters];
  if (!read_parameters(law, arguments, 10, given, parameters)) return nullptr;
  return result_of([&] {
    const Place place{
        as_address(arguments[0]), as_int(arguments[1]),     as_int64(arguments[2]), arguments[3],
        as_int(arguments[4]),     as_address(arguments[5]), as_int(arguments[6])};
    const Target target = place.target();
    const OwnedLaw made = law.make(target.dtype, parameters);
    const uint64_t seed = as_word(arguments[8]), stream = as_word(arguments[9]);
    if (place.count == 0) return;
    const Source source = source_of(place.device, arguments[7], seed, stream);
    std::optional<Unlocked> unlocked;
    if (place.device != kCpu || place.count > tuning::kLockedElements) unlocked.emplace();
    if (place.device == kCpu)
      fill_cpu({target, source, made.law}, place.threads);
    else
      fill_cuda({target, source, made.law}, {place.device, reinterpret_cast<void*>(place.stream)});
  });
}

// (pointer, dtype, numel, threads, key, seed, stream, *parameters)
PyObject* quick_fill(PyObject* self, PyObject* const* arguments, Py_ssize_t given) {
  const NamedLaw& law = law_of(self);
  double parameters[kMostParameters];
  if (!read_parameters(law, arguments, 7, given, parameters)) return nullptr;
  return result_of([&] {
    const int64_t count = as_int64(arguments[2]);
    const int threads = as_int(arguments[3]);
    RandomFill random{};
    random.target.pointer = reinterpret_cast<void*>(as_address(arguments[0]));
    random.target.dtype = dtype_of(as_int(arguments[1]));
    make_row(random.target.box, count);
    const uint64_t seed = as_word(arguments[5]), stream = as_word(arguments[6]);
    const DefaultFloatingPoint environment;
    const OwnedLaw made = law.make(random.target.dtype, parameters);
    random.law = made.law;
    random.source = source_of(kCpu, arguments[4], seed, stream);
    if (count <= tuning::kLockedElements) return fill_cpu(random, 1);
    const Unlocked unlocked;
    fill_cpu(random, threads);
  });
}

using FastCall = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t);

// CPython keeps pointers to both.
struct Function {
  std::string name;
  PyMethodDef definition;
};

void add_function(py::module_& module, const std::string& name, FastCall call,
                  const NamedLaw& law) {
  static std::list<Function> functions;
  Function& added = functions.emplace_back(Function{name, {}});
  const auto plain = reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call));
  added.definition = {added.name.c_str(), plain, METH_FASTCALL, nullptr};
  PyObject* const function =
      PyCFunction_NewEx(&added.definition, py::capsule(&law).ptr(), module.attr("__name__").ptr());
  if (!function) throw py::error_already_set();
  module.attr(name.c_str()) = py::reinterpret_steal<py::object>(function);
}

}  // namespace

void bind_fills(py::module_& module) {
  module.def("reader", &reader);
  for (const NamedLaw& law : named_laws()) {
    add_function(module, law.name, &fill, law);
    add_function(module, std::string("quick_") + law.name, &quick_fill, law);
  }
}

}  // namespace winit_cuda
