// The short way from a call in Python to an ordinary tensor: contiguous, on the CPU, with nothing
// odd about it. One call reads the tensor, looks at the numbers, draws the key, writes, and tells
// autograd. For all that is not ordinary it does nothing, and says what it has seen.
#include <optional>
#include <stdexcept>
#include <string>

#include "bindings/bindings.h"
#include "bindings/calls.h"
#include "bindings/exchange.h"
#include "bindings/place.h"
#include "fill/fill.h"
#include "platform/tuning.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

// An ordinary tensor, or none.
struct Ordinary {
  void* address = nullptr;
  int64_t count = 1;
  int dtype = -1;

  Ordinary(const TensorReader& reader, PyObject* object) {
    DLTensor tensor;
    if (!reader.read(object, tensor)) return;
    address = address_of(tensor);
    for (int d = 0; d < tensor.rank; ++d) count *= tensor.sizes[d];
    dtype = code_of(tensor.dtype);
  }
  explicit operator bool() const { return dtype >= 0; }

  // (address, count, dtype), or None.
  PyObject* described() const {
    if (!*this) Py_RETURN_NONE;
    return Py_BuildValue("NLi", PyLong_FromVoidPtr(address), static_cast<long long>(count), dtype);
  }
};

// What a function has for its `self`.
template <class State>
const State& state_of(PyObject* self) {
  return *static_cast<const State*>(PyCapsule_GetPointer(self, nullptr));
}
template <class State>
py::object made_function(PyMethodDef& definition, State* state) {
  const py::capsule self(state, [](void* state) { delete static_cast<State*>(state); });
  return owned(PyCFunction_NewEx(&definition, self.ptr(), nullptr));
}

PyObject* place_of(PyObject* self, PyObject* object) {
  return result_of([&] { return Ordinary(state_of<TensorReader>(self), object).described(); });
}

struct QuickLaw {
  const NamedLaw& law;
  TensorReader reader;
  py::object threads, written;

  // Whether they are plain numbers, and what they are.
  bool read(PyObject* numbers, double (&parameters)[kMostParameters]) const {
    if (!PyTuple_CheckExact(numbers) || PyTuple_GET_SIZE(numbers) != law.parameter_count)
      return false;
    for (int i = 0; i < law.parameter_count; ++i) {
      PyObject* const number = PyTuple_GET_ITEM(numbers, i);
      if (PyFloat_CheckExact(number)) {
        parameters[i] = PyFloat_AS_DOUBLE(number);
      } else if (PyLong_CheckExact(number)) {
        parameters[i] = PyLong_AsDouble(number);
        if (parameters[i] == -1 && PyErr_Occurred()) {
          PyErr_Clear();
          return false;
        }
      } else {
        return false;
      }
    }
    return true;
  }

  bool fill(const Ordinary& tensor, PyObject* object, PyObject* words, PyObject* numbers) const {
    double parameters[kMostParameters];
    if (!read(numbers, parameters)) return false;
    const auto dtype = static_cast<DType>(tensor.dtype);
    const DefaultFloatingPoint environment;
    if (!law.is_plain(dtype, parameters)) return false;
    const std::optional<OwnedLaw> made = make(dtype, parameters);
    if (!made) return false;

    const auto word = [&](Py_ssize_t i) { return PyTuple_GET_ITEM(words, i); };
    const uint64_t seed = as_word(word(1)), stream = as_word(word(2));
    RandomFill random{};
    random.target.pointer = tensor.address;
    random.target.dtype = dtype;
    random.law = made->law;
    make_row(random.target.box, tensor.count);
    // One thread writes so few; to ask how many there are would take time.
    const int most = tensor.count > tuning::kGrainElements ? as_int(threads().ptr()) : 1;
    random.source = source_of(kCpu, word(0), seed, stream);
    {
      std::optional<Unlocked> unlocked;
      if (tensor.count > tuning::kLockedElements) unlocked.emplace();
      fill_cpu(random, most);
    }
    const py::object one = owned(PyTuple_Pack(1, object));
    owned(PyObject_CallOneArg(written.ptr(), one.ptr()));
    return true;
  }

 private:
  // Nothing where the dtype has no value to give.
  std::optional<OwnedLaw> make(DType dtype, const double* parameters) const {
    try {
      return law.make(dtype, parameters);
    } catch (const std::invalid_argument&) {
      return std::nullopt;
    }
  }
};

// (tensor, words, numbers)
PyObject* fill_quickly(PyObject* self, PyObject* const* arguments, Py_ssize_t given) {
  if (given != 3 || !PyTuple_Check(arguments[1]) || PyTuple_GET_SIZE(arguments[1]) != 3) {
    PyErr_SetString(PyExc_TypeError, "a quick fill takes a tensor, three words, and numbers");
    return nullptr;
  }
  return result_of([&]() -> PyObject* {
    const auto& law = state_of<QuickLaw>(self);
    const Ordinary tensor(law.reader, arguments[0]);
    if (tensor && law.fill(tensor, arguments[0], arguments[1], arguments[2])) Py_RETURN_TRUE;
    return tensor.described();
  });
}

py::object reader(const py::capsule& capsule, const py::tuple& classes, const py::tuple& doubts) {
  static PyMethodDef definition = {"place_of", &place_of, METH_O, nullptr};
  return made_function(definition, new TensorReader(capsule, classes, doubts));
}

py::object quick(const std::string& name, const py::capsule& capsule, const py::tuple& classes,
                 const py::tuple& doubts, const py::object& threads, const py::object& written) {
  static PyMethodDef definition = {"fill_quickly", as_function(&fill_quickly), METH_FASTCALL,
                                   nullptr};
  for (const NamedLaw& law : named_laws())
    if (law.name == name)
      return made_function(
          definition, new QuickLaw{law, TensorReader(capsule, classes, doubts), threads, written});
  throw std::invalid_argument("there is no law of the name '" + name + "'");
}

}  // namespace

void bind_quick_fills(py::module_& module) {
  py::tuple names(named_laws().size());
  for (size_t i = 0; i < names.size(); ++i) names[i] = py::str(named_laws()[i].name);
  module.attr("LAWS") = names;
  module.def("reader", &reader);
  module.def("quick", &quick);
}

}  // namespace winit_cuda
