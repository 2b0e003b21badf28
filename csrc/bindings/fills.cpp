// The fills of one law: for each law of values/distributions.h a function of its name.
#include <list>
#include <optional>

#include "bindings/bindings.h"
#include "bindings/calls.h"
#include "bindings/place.h"
#include "fill/fill.h"
#include "platform/tuning.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

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
  return none_after([&] {
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

void add_function(py::module_& module, const NamedLaw& law) {
  static std::list<PyMethodDef> definitions;  // CPython keeps pointers to them
  PyMethodDef& definition =
      definitions.emplace_back(PyMethodDef{law.name, as_function(&fill), METH_FASTCALL, nullptr});
  PyObject* const function =
      PyCFunction_NewEx(&definition, py::capsule(&law).ptr(), module.attr("__name__").ptr());
  module.attr(law.name) = owned(function);
}

}  // namespace

void bind_fills(py::module_& module) {
  for (const NamedLaw& law : named_laws()) add_function(module, law);
}

}  // namespace winit_cuda
