#include "bindings/many.h"

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/box.h"
#include "many/launch.h"
#include "many/many.h"
#include "platform/floating_point.h"
#include "values/limits.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

// One item of the list: (law, pointer, dtype, numel, box, *numbers). Read by CPython's own calls,
// because pybind11's casts would take longer than filling a small tensor.
class Item {
 public:
  explicit Item(PyObject* item) : item_(item) {
    if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) < kNumbers)
      throw std::invalid_argument("a fill is (law, pointer, dtype, numel, box, *numbers)");
  }

  void add_to(FillList& list) const {
    const int64_t count = integer(3);
    if (count <= 0) throw std::invalid_argument("a fill of a list has at least one element");
    void* pointer = PyLong_AsVoidPtr(at(1));
    const Box box = box_of(count, at(4), true);
    if (is("constant_bits", 2)) return list.add(constant_bits(pointer, box));
    const Target target{pointer, dtype_of(static_cast<int>(integer(2))), box};
    if (PyErr_Occurred()) throw py::error_already_set();
    if (is("constant", 1))
      list.add({pointer, in_memory_order(box), item_size(target.dtype),
                encode(target.dtype, number(0))});
    else if (is("uniform", 2))
      list.add(target, uniform_numbers(target.dtype, number(0), number(1)));
    else if (is("normal", 2))
      list.add(target, normal_numbers(target.dtype, number(0), number(1)));
    else if (is("trunc_normal", 4))
      list.add(target,
               trunc_normal_numbers(target.dtype, number(0), number(1), number(2), number(3)));
    else
      throw std::invalid_argument("no such law, or another number of numbers than it takes");
  }

 private:
  static constexpr Py_ssize_t kNumbers = 5;  // where they begin

  PyObject* at(Py_ssize_t i) const { return PyTuple_GET_ITEM(item_, i); }

  bool is(const char* law, Py_ssize_t numbers) const {
    return PyTuple_GET_SIZE(item_) == kNumbers + numbers && PyUnicode_Check(at(0)) &&
           PyUnicode_CompareWithASCIIString(at(0), law) == 0;
  }
  int64_t integer(Py_ssize_t i) const {
    const long long value = PyLong_AsLongLong(at(i));
    if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
    return value;
  }
  double number(Py_ssize_t i) const {
    const double value = PyFloat_AsDouble(at(kNumbers + i));
    if (value == -1.0 && PyErr_Occurred()) throw py::error_already_set();
    return value;
  }
  // The numbers are the bits and the item size.
  ConstantFill constant_bits(void* pointer, const Box& box) const {
    const uint64_t bits = PyLong_AsUnsignedLongLong(at(kNumbers));
    const int64_t itemsize = integer(kNumbers + 1);
    if (PyErr_Occurred()) throw py::error_already_set();
    if (itemsize != 1 && itemsize != 2 && itemsize != 4 && itemsize != 8)
      throw std::invalid_argument("itemsize must be 1, 2, 4 or 8, not " + std::to_string(itemsize));
    return {pointer, in_memory_order(box), static_cast<int>(itemsize), bits};
  }

  PyObject* item_;
};

FillList list_of(const py::list& items) {
  const DefaultFloatingPoint environment;
  FillList list;
  list.fills.reserve(items.size());
  for (const py::handle item : items) Item(item.ptr()).add_to(list);
  refuse_overlap(list);
  return list;
}

// A list of fills on one device, and the descriptors that its kernels take.
class DeviceFillList {
 public:
  DeviceFillList(int device, const py::list& items) : device_(device), list_(list_of(items)) {
    if (device == kCpu || list_.fills.empty()) return;
    constexpr size_t unlimited = std::numeric_limits<size_t>::max();
    for (size_t first = 0; first < list_.fills.size(); first += parts_.back().count)
      parts_.push_back(describe(list_, first, kDescriptorBytes));
    if (parts_.size() > 1) whole_ = describe(list_, 0, unlimited);
  }

  size_t memory_bytes() const { return whole_.bytes.size(); }

  void write(uintptr_t memory, uintptr_t keys) const {
    write_descriptors(whole_, reinterpret_cast<const uint64_t*>(keys),
                      reinterpret_cast<unsigned char*>(memory));
  }

  void run(uintptr_t keys, bool keys_there, uintptr_t stream, int threads, uintptr_t memory) const {
    if (list_.fills.empty()) return;
    const auto* words = reinterpret_cast<const uint64_t*>(keys);
    const py::gil_scoped_release unlocked;
    if (device_ == kCpu) return fill_many_cpu(list_, words, threads);
    const ManyKeys many_keys = {keys_there ? nullptr : words, keys_there ? words : nullptr};
    const auto* there = reinterpret_cast<const unsigned char*>(memory);
    const Launch launch = {device_, reinterpret_cast<void*>(stream)};
    if (there) return run_part(whole_, many_keys, there, launch);
    for (const ManyDescriptors& part : parts_) run_part(part, many_keys, nullptr, launch);
  }

 private:
  void run_part(const ManyDescriptors& part, const ManyKeys& keys, const unsigned char* memory,
                const Launch& launch) const {
    if (device_ == kSerial)
      fill_many_serial(part, keys, memory);
    else
      fill_many_cuda(part, keys, memory, launch);
  }

  int device_;
  FillList list_;
  std::vector<ManyDescriptors> parts_;  // each short enough for a kernel's parameters
  ManyDescriptors whole_{};             // where there are several parts
};

}  // namespace

void bind_fill_list(py::module_& module) {
  py::class_<DeviceFillList>(module, "FillList")
      .def(py::init<int, const py::list&>())
      .def_property_readonly("memory_bytes", &DeviceFillList::memory_bytes)
      .def("write", &DeviceFillList::write)
      .def("run", &DeviceFillList::run);
}

}  // namespace winit_cuda
