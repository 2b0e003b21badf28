// A list of fills of one law, for benchmarks/gpu/tune: linked with many/cuda.cu, compiled with
// other launch sizes (WINIT_TUNE_* of platform/tuning.h), it is one variant of the list's kernel.
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "many/layout.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace winit_cuda {
namespace {

// One launch if the descriptors fit a kernel's parameters, else several.
struct TunedList {
  FillList list;
  std::vector<ManyDescriptors> parts;
};

thread_local std::string message;

OwnedLaw law_of(DType dtype, const char* name, const double* parameters) {
  for (const NamedLaw& law : named_laws())
    if (std::string(law.name) == name) return law.make(dtype, parameters);
  throw std::invalid_argument("no such law");
}

}  // namespace
}  // namespace winit_cuda

// Null where it cannot be made; tuned_message says why.
EXPORTED void* tuned_list(int tensors, void* const* pointers, const long long* counts, int dtype,
                          const char* law, const double* parameters) {
  using namespace winit_cuda;
  try {
    auto made = std::make_unique<TunedList>();
    const OwnedLaw owned = law_of(static_cast<DType>(dtype), law, parameters);
    made->list.tables.push_back(owned.table);
    for (int i = 0; i < tensors; ++i) {
      RandomFill fill{};
      fill.target.pointer = pointers[i];
      fill.target.dtype = static_cast<DType>(dtype);
      fill.target.box.rank = 1;
      fill.target.box.size[0] = counts[i];
      fill.target.box.stride[0] = 1;
      fill.target.box.index_stride[0] = 1;
      fill.law = owned.law;
      made->list.fills.emplace_back(fill);
    }
    for (size_t first = 0; first < made->list.fills.size(); first += made->parts.back().count)
      made->parts.push_back(describe(made->list, first, kDescriptorBytes));
    return made.release();
  } catch (const std::exception& error) {
    message = error.what();
    return nullptr;
  }
}

// `keys` are two words for each tensor. Returns what failed, or null.
EXPORTED const char* tuned_list_run(const void* list, const unsigned long long* keys, int device,
                                    void* stream) {
  using namespace winit_cuda;
  try {
    const std::vector<uint64_t> words(
        keys, keys + 2 * static_cast<const TunedList*>(list)->list.fills.size());
    for (const ManyDescriptors& part : static_cast<const TunedList*>(list)->parts)
      fill_many_cuda(part, {words.data(), nullptr}, nullptr, {device, stream});
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
    return message.c_str();
  }
}

EXPORTED void tuned_list_free(void* list) { delete static_cast<winit_cuda::TunedList*>(list); }

EXPORTED const char* tuned_message() { return winit_cuda::message.c_str(); }
