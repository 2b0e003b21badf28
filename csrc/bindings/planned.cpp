// The fills of a plan, set up once; a run of the plan has the tensors.
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "bindings/bindings.h"
#include "bindings/exchange.h"
#include "bindings/lists.h"
#include "bindings/place.h"

namespace py = pybind11;

namespace winit_cuda {
namespace {

// What fills all of one contiguous tensor, but for where it lies.
struct PlannedFill {
  PlacedFill fill;
  std::string_view name;  // of its key
  const int64_t* sizes;
  int64_t elements;
  int32_t rank = -1;
  DLDataType dtype;

  bool is_for(const DLTensor& tensor) const {
    return tensor.dtype == dtype && tensor.rank == rank &&
           std::equal(sizes, sizes + rank, tensor.sizes);
  }
};

class PlannedFills : public std::enable_shared_from_this<PlannedFills> {
 public:
  // Each fill is (name, sizes, item), the item with the address 0; or None, and no tensor
  // is what it is for.
  PlannedFills(const py::capsule& capsule, const py::tuple& classes, const py::list& fills)
      : reader_(capsule, classes), given_(py::cast<std::vector<std::optional<Given>>>(fills)) {
    const DefaultFloatingPoint environment;
    list_.fills.reserve(given_.size());  // they stay where they are
    fills_.reserve(given_.size());
    for (const std::optional<Given>& given : given_) fills_.push_back(added(given));
  }

  // Of each tensor fill numbers[i], where it is what that is for, and the places of all others. A
  // number may be that of no fill.
  py::tuple of(const py::list& tensors, const py::list& numbers) const {
    const size_t count = tensors.size();
    if (numbers.size() != count) throw std::invalid_argument("tensors need as many numbers");
    NamedFills found;
    found.fills.reserve(count);
    found.names.reserve(count);
    found.plan = shared_from_this();
    py::list others;
    for (size_t i = 0; i < count; ++i) {
      const auto number = static_cast<size_t>(as_int64(PyList_GET_ITEM(numbers.ptr(), i)));
      DLTensor tensor;
      if (number >= fills_.size() || !reader_.read(PyList_GET_ITEM(tensors.ptr(), i), tensor) ||
          !fills_[number].is_for(tensor)) {
        others.append(i);
        continue;
      }
      PlacedFill fill = fills_[number].fill;
      fill.pointer = address_of(tensor);
      found.fills.add(fill);
      found.names.push_back(fills_[number].name);
      found.elements += fills_[number].elements;
    }
    return py::make_tuple(std::move(found), others);
  }

 private:
  using Given = std::tuple<std::string, std::vector<int64_t>, py::tuple>;

  PlannedFill added(const std::optional<Given>& given) {
    if (!given) return {};
    const auto& [name, sizes, item] = *given;
    add_item(item.ptr(), list_);
    return {placed(list_.fills.back()),
            name,
            sizes.data(),
            as_int64(item[3].ptr()),
            static_cast<int32_t>(sizes.size()),
            described(dtype_of(as_int(item[2].ptr())))};
  }

  TensorReader reader_;
  std::vector<std::optional<Given>> given_;
  FillList list_;
  std::vector<PlannedFill> fills_;
};

void run(const NamedFills& fills, uint64_t seed, uint64_t stream, int threads) {
  if (fills.names.empty()) return;
  const Unlocked unlocked;
  fill_many_cpu(fills.fills, ListKeys(make_stream_key(seed, stream), fills.names.data()), threads);
}

}  // namespace

void bind_planned_fills(py::module_& module) {
  // Local: the emulated device is a module of its own, with the same type, in one process.
  py::class_<NamedFills>(module, "NamedFills", py::module_local())
      .def_readonly("elements", &NamedFills::elements)
      .def_property_readonly(
          "overlap",
          [](const NamedFills& fills) { return find_overlap({&fills.fills}).has_value(); })
      .def("run", &run);
  py::class_<PlannedFills, std::shared_ptr<PlannedFills>>(module, "PlannedFills")
      .def(py::init<const py::capsule&, const py::tuple&, const py::list&>())
      .def("of", &PlannedFills::of);
}

}  // namespace winit_cuda
