// Functions of the module by CPython's own calling convention: pybind11's costs as much as filling
// a hundred elements.
#pragma once

#include <pybind11/pybind11.h>

#include <new>
#include <stdexcept>

namespace winit_cuda {

using FastCall = PyObject* (*)(PyObject* self, PyObject* const* arguments, Py_ssize_t given);

// As PyMethodDef takes it.
inline PyCFunction as_function(FastCall call) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call));
}

// What Python returns.
inline pybind11::object owned(PyObject* made) {
  if (!made) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(made);
}

// What the body returns, a new reference; or null with Python's error set, where it throws.
template <class Body>
PyObject* result_of(const Body& body) {
  try {
    return body();
  } catch (pybind11::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::invalid_argument& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

template <class Body>
PyObject* none_after(const Body& body) {
  return result_of([&] {
    body();
    Py_RETURN_NONE;
  });
}

}  // namespace winit_cuda
