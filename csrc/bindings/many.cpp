// Lists of fills that are set up once and run together.
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/lists.h"
#include "bindings/place.h"
#include "many/layout.h"
#include "values/limits.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

// One item of the list: (law, pointer, dtype, numel, box, *parameters). Read by CPython's own
// calls, because pybind11's casts would take longer than filling a small tensor.
class Item {
 public:
  explicit Item(PyObject* item) : item_(item) {
    if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) < kCommon)
      throw std::invalid_argument("a fill is (law, pointer, dtype, numel, box, *numbers)");
  }

  void add_to(FillList& list) const {
    const int64_t count = as_int64(at(3));
    if (count <= 0) throw std::invalid_argument("a fill of a list has at least one element");
    void* pointer = reinterpret_cast<void*>(as_address(at(1)));
    const Box box = box_of(count, at(4), true);
    if (is("constant_bits", 2)) return list.add(constant_bits(pointer, box));
    const Target target{pointer, dtype_of(as_int(at(2))), box};
    if (is("constant", 1))
      return list.add({pointer, in_memory_order(box), item_size(target.dtype),
                       encode(target.dtype, as_number(at(kCommon)))});
    for (const NamedLaw& law : named_laws())
      if (is(law.name, law.parameter_count)) return list.add(target, made(law, target.dtype));
    throw std::invalid_argument("no such law, or another number of numbers than it takes");
  }

 private:
  static constexpr Py_ssize_t kCommon = 5;  // the parameters come behind them

  PyObject* at(Py_ssize_t i) const { return PyTuple_GET_ITEM(item_, i); }

  bool is(const char* law, Py_ssize_t parameters) const {
    return PyTuple_GET_SIZE(item_) == kCommon + parameters && PyUnicode_Check(at(0)) &&
           PyUnicode_CompareWithASCIIString(at(0), law) == 0;
  }
  OwnedLaw made(const NamedLaw& law, DType dtype) const {
    double parameters[kMostParameters];
    for (int i = 0; i < law.parameter_count; ++i) parameters[i] = as_number(at(kCommon + i));
    return law.make(dtype, parameters);
  }
  // The parameters are the bits and the item size.
  ConstantFill constant_bits(void* pointer, const Box& box) const {
    const uint64_t bits = as_word(at(kCommon));
    const int64_t itemsize = as_int64(at(kCommon + 1));
    if (itemsize != 1 && itemsize != 2 && itemsize != 4 && itemsize != 8)
      throw std::invalid_argument("itemsize must be 1, 2, 4 or 8, not " + std::to_string(itemsize));
    return {pointer, in_memory_order(box), static_cast<int>(itemsize), bits};
  }

  PyObject* item_;
};

// A list of fills on one device, and the descriptors that its kernels take.
class DeviceFillList {
 public:
  DeviceFillList(int device, const py::list& items) : device_(device) {
    const DefaultFloatingPoint environment;
    list_.fills.reserve(items.size());
    for (const py::handle item : items) add_item(item.ptr(), list_);
    placed_.reserve(items.size());
    for (const FillList::Fill& fill : list_.fills) placed_.add(placed(fill));
    if (const auto overlap = find_overlap({&placed_}))
      throw std::invalid_argument("fills " + std::to_string(overlap->first) + " and " +
                                  std::to_string(overlap->second) +
                                  " of the list write the same memory");
    if (device == kCpu) return;
    constexpr size_t unlimited = std::numeric_limits<size_t>::max();
    for (size_t first = 0; first < list_.fills.size(); first += parts_.back().count)
      parts_.push_back(describe(list_, first, kDescriptorBytes));
    if (parts_.size() > 1) whole_ = describe(list_, 0, unlimited);
  }

  bool overlaps(const NamedFills& others) const {
    return find_overlap({&placed_, &others.fills}).has_value();
  }

  size_t memory_bytes() const { return whole_.bytes.size(); }

  void write(uintptr_t memory, uintptr_t keys) const {
    write_descriptors(whole_, reinterpret_cast<const uint64_t*>(keys),
                      reinterpret_cast<unsigned char*>(memory));
  }

  void run(uintptr_t keys, bool keys_there, uintptr_t stream, int threads, uintptr_t memory) const {
    if (list_.fills.empty()) return;
    const auto* words = reinterpret_cast<const uint64_t*>(keys);
    const Unlocked unlocked;
    if (device_ == kCpu) return fill_many_cpu(placed_, ListKeys(words), threads);
    const ManyKeys many_keys = {keys_there ? nullptr : words, keys_there ? words : nullptr};
    const auto* there = reinterpret_cast<const unsigned char*>(memory);
    const Launch launch = {device_, reinterpret_cast<void*>(stream)};
    if (there) return fill_many_cuda(whole_, many_keys, there, launch);
    for (const ManyDescriptors& part : parts_) fill_many_cuda(part, many_keys, nullptr, launch);
  }

  void run_named(const py::list& names, uint64_t seed, uint64_t stream, int threads) const {
    if (device_ != kCpu) throw std::invalid_argument("names are for a list on the CPU");
    const py::tuple kept(names);  // whatever others do to the list meanwhile
    if (kept.size() != list_.fills.size())
      throw std::invalid_argument(std::to_string(list_.fills.size()) + " fills need as many names");
    if (list_.fills.empty()) return;
    std::vector<std::string_view> texts;
    texts.reserve(kept.size());
    for (const py::handle name : kept) texts.push_back(utf8_of(name.ptr()));
    const Unlocked unlocked;
    fill_many_cpu(placed_, ListKeys(make_stream_key(seed, stream), texts.data()), threads);
  }

 private:
  int device_;
  FillList list_;
  PlacedFills placed_;
  std::vector<ManyDescriptors> parts_;  // each short enough for a kernel's parameters
  ManyDescriptors whole_{};             // where there are several parts
};

}  // namespace

void add_item(PyObject* item, FillList& list) { Item(item).add_to(list); }

void bind_fill_list(py::module_& module) {
  py::class_<DeviceFillList>(module, "FillList")
      .def(py::init<int, const py::list&>())
      .def("overlaps", &DeviceFillList::overlaps)
      .def_property_readonly("memory_bytes", &DeviceFillList::memory_bytes)
      .def("write", &DeviceFillList::write)
      .def("run", &DeviceFillList::run)
      .def("run_named", &DeviceFillList::run_named);
}

}  // namespace winit_cuda
