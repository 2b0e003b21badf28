// What the two kinds of lists of fills share: the items that both are made of, and what one has to
// know of the other.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string_view>
#include <vector>

#include "many/many.h"

namespace winit_cuda {

// Adds the fill of an item (law, pointer, dtype, numel, box, *numbers). Throws
// std::invalid_argument where it is none.
void add_item(PyObject* item, FillList& list);

// Fills on the CPU, each with the name of its key.
struct NamedFills {
  PlacedFills fills;
  std::vector<std::string_view> names;
  int64_t elements = 0;
  std::shared_ptr<const void> plan;  // which owns the fills and the names
};

}  // namespace winit_cuda
