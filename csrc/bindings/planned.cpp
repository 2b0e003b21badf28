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
  // Each fill is (name of the tensor, name of the key, sizes, item), the item with the address 0.
  // The rest is what reads tensors.
  PlannedFills(const py::capsule& capsule, const py::tuple& classes, py::tuple doubts,
               const py::list& fills)
      : reader_(capsule, classes, std::move(doubts)), given_(py::cast<std::vector<Given>>(fills)) {
    const DefaultFloatingPoint environment;
    list_.fills.reserve(given_.size());  // they stay where they are
    fills_.reserve(given_.size());
    for (const Given& given : given_) {
      numbers_[std::get<0>(given)] = fills_.size();
      fills_.push_back(added(given));
    }
  }

  // Owners are (name, tensors by name), or have None for the tensors. Returns the fills that are
  // for tensors of theirs; the names of these; they themselves; and the others in turn, each as
  // (number of the owner, how many come before it among those that there are fills for, its name,
  // itself). Owners with None are among the others, with None twice.
  py::tuple of(const py::list& owners) const {
    NamedFills found;
    found.fills.reserve(fills_.size());
    found.names.reserve(fills_.size());
    found.plan = shared_from_this();
    py::list names, tensors, others;
    const auto add_other = [&](size_t owner, const py::object& name, const py::object& tensor) {
      others.append(py::make_tuple(owner, names.size(), name, tensor));
    };
    for (size_t owner = 0; owner < owners.size(); ++owner) {
      const auto [name, own] = py::cast<std::pair<py::str, py::object>>(owners[owner]);
      if (own.is_none()) {
        add_other(owner, py::none(), py::none());
        continue;
      }
      if (py::len(own) == 0) continue;
      const py::str head = py::len(name) == 0 ? name : py::str(name + py::str("."));
      for (const auto& [step, tensor] : py::dict(own)) {
        if (tensor.is_none()) continue;
        const py::object path = owned(PyUnicode_Concat(head.ptr(), step.ptr()));
        const auto object = py::reinterpret_borrow<py::object>(tensor);
        if (add(path, object, found)) {
          names.append(path);
          tensors.append(object);
        } else {
          add_other(owner, path, object);
        }
      }
    }
    return py::make_tuple(std::move(found), names, tensors, others);
  }

 private:
  using Given = std::tuple<py::str, std::string, std::vector<int64_t>, py::tuple>;

  // Whether there is a fill for the tensor of the name.
  bool add(const py::object& name, const py::object& tensor, NamedFills& found) const {
    PyObject* const number = PyDict_GetItemWithError(numbers_.ptr(), name.ptr());
    if (!number) {
      if (PyErr_Occurred()) throw py::error_already_set();
      return false;
    }
    const PlannedFill& planned = fills_[static_cast<size_t>(as_int64(number))];
    DLTensor there;
    if (!reader_.read(tensor.ptr(), there) || !planned.is_for(there)) return false;
    PlacedFill fill = planned.fill;
    fill.pointer = address_of(there);
    found.fills.add(fill);
    found.names.push_back(planned.name);
    found.elements += planned.elements;
    return true;
  }

  PlannedFill added(const Given& given) {
    const auto& [_, name, sizes, item] = given;
    add_item(item.ptr(), list_);
    return {placed(list_.fills.back()),
            name,
            sizes.data(),
            as_int64(item[3].ptr()),
            static_cast<int32_t>(sizes.size()),
            described(dtype_of(as_int(item[2].ptr())))};
  }

  TensorReader reader_;
  std::vector<Given> given_;
  py::dict numbers_;  // of the fills, by the names of their tensors
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
      .def(py::init<const py::capsule&, const py::tuple&, py::tuple, const py::list&>())
      .def("of", &PlannedFills::of);
}

}  // namespace winit_cuda
