// Fills by the core's CPU code, without Python: what an emulator of another processor can run.
//
//   emulated hashes                      a hash of each case, by each instruction set
//   emulated fill ISA LAW DTYPE COUNT    one fill, for counting its instructions
//
// emulated.py compiles and runs it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fill/fill.h"
#include "orthogonal/orthogonal.h"
#include "platform/floating_point.h"
#include "simd/choice.h"
#include "sparse/sparse.h"
#include "values/distributions.h"

namespace winit_cuda {
namespace {

const char* name_of(DType dtype) { return kDTypeNames[static_cast<int>(dtype)]; }

struct Parameters {
  const char* law;
  double numbers[kMostParameters];
};
constexpr Parameters kLaws[] = {{"uniform", {-0.3, 0.7}},
                                {"normal", {0.1, 0.02}},
                                {"trunc_normal", {0, 1, -2, 2}},
                                {"trunc_normal", {0, 1, 2.5, 9}},
                                {"trunc_normal", {0.5, 1, -1, 2}}};

OwnedLaw made(const Parameters& parameters, DType dtype) {
  for (const NamedLaw& law : named_laws())
    if (!std::strcmp(law.name, parameters.law)) return law.make(dtype, parameters.numbers);
  std::abort();
}

// Elements of a matrix whose rows and columns lie so far apart.
Box box_of(int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride) {
  Box box;
  box.rank = 2;
  box.size[0] = rows, box.size[1] = columns;
  box.stride[0] = row_stride, box.stride[1] = column_stride;
  box.index_stride[0] = static_cast<uint64_t>(columns), box.index_stride[1] = 1;
  return box;
}

// Memory that a case fills, and its hash (Fowler, Noll and Vo's).
class Memory {
 public:
  Memory(int64_t elements, DType dtype)
      : bytes_(static_cast<size_t>(elements * item_size(dtype)), 0x55) {}
  void* place() { return bytes_.data(); }
  void print(const std::string& name) const {
    uint64_t hash = 14695981039346656037u;
    for (const unsigned char byte : bytes_) hash = (hash ^ byte) * 1099511628211u;
    std::printf("%s\t%s\t%016llx\n", active_isa_name(), name.c_str(),
                static_cast<unsigned long long>(hash));
  }

 private:
  std::vector<unsigned char> bytes_;
};

StreamKey key() { return make_stream_key(7, 11); }

void print_fills(DType dtype) {
  struct Layout {
    const char* name;
    Box box;
    int64_t elements;
  };
  Box shard = box_of(33, 70, 70, 1);
  shard.index_offset = 4294967296u * 4 - 1001;  // where the lowest word of the counter turns over
  const Layout layouts[] = {{"contiguous", box_of(1, 5003, 5003, 1), 5003},
                            {"transposed", box_of(131, 67, 1, 131), 131 * 67},
                            {"every second", box_of(90, 77, 154, 2), 90 * 154},
                            {"shard", shard, 33 * 70}};
  for (const Parameters& parameters : kLaws)
    for (const Layout& layout : layouts) {
      const OwnedLaw law = made(parameters, dtype);
      Memory memory(layout.elements, dtype);
      const Target target{memory.place(), dtype, layout.box};
      fill_cpu(RandomFill{target, {key(), nullptr, Domain::kElement}, law.law}, 1);
      memory.print(std::string(parameters.law) + " from " + std::to_string(parameters.numbers[2]) +
                   ", " + layout.name + ", " + name_of(dtype));
    }
}

void print_sparse(DType dtype) {
  constexpr int64_t kShapes[][2] = {{1, 1}, {7, 5}, {130, 68}, {333, 200}, {2100, 40}};
  for (const auto& [rows, columns] : kShapes)
    for (const int64_t zeros : {int64_t{0}, rows / 10, rows / 2, rows}) {
      Memory memory(rows * columns, dtype);
      Target target{memory.place(), dtype, box_of(rows, columns, columns, 1)};
      std::vector<SparseThreshold> thresholds(static_cast<size_t>(columns));
      const OwnedLaw law = normal_law(dtype, 0, 0.01);
      SparseFill fill{{target, {}, law.law}, rows, columns, zeros, nullptr};
      const SparseColumns part{local_columns(fill), &target, 1, thresholds.data()};
      sparse_cpu(fill, &part, 1, 1, [] { return key(); });
      memory.print("sparse " + std::to_string(rows) + "x" + std::to_string(columns) + ", " +
                   std::to_string(zeros) + " zeros, " + name_of(dtype));
    }
}

void print_orthogonal(DType dtype) {
  constexpr int64_t kShapes[][2] = {{1, 1}, {5, 3}, {32, 32}, {40, 90}, {130, 70}};
  for (const auto& [rows, columns] : kShapes) {
    Memory memory(rows * columns, dtype);
    OrthogonalFill fill{{memory.place(), dtype, Box{}}, rows, columns, 0, rows, 0, columns, 1.5};
    fill.target.box = box_of(1, rows * columns, rows * columns, 1);
    bool are_columns = false;
    const LineRange range = range_of(fill, are_columns);
    const OrthogonalLines lines{&fill, 1, &range, 1, are_columns};
    orthogonal_cpu(&lines, 1, 1, [] { return key(); });
    memory.print("orthogonal " + std::to_string(rows) + "x" + std::to_string(columns) + ", " +
                 name_of(dtype));
  }
}

int print_hashes() {
  for (const char* isa : isa_names()) {
    choose_isa(isa);
    for (int code = 0; code < kDTypeCount; ++code) {
      const auto dtype = static_cast<DType>(code);
      print_fills(dtype);
      print_sparse(dtype);
      print_orthogonal(dtype);
    }
  }
  return 0;
}

int fill_once(char** words) {
  choose_isa(words[0]);
  const int64_t count = std::atoll(words[3]);
  for (const Parameters& parameters : kLaws)
    for (int code = 0; code < kDTypeCount; ++code) {
      const auto dtype = static_cast<DType>(code);
      if (std::strcmp(parameters.law, words[1]) || std::strcmp(name_of(dtype), words[2])) continue;
      const OwnedLaw law = made(parameters, dtype);
      Memory memory(count, dtype);
      const Target target{memory.place(), dtype, box_of(1, count, count, 1)};
      fill_cpu(RandomFill{target, {key(), nullptr, Domain::kElement}, law.law}, 1);
      return 0;  // of trunc_normal, the symmetric one
    }
  return 2;
}

}  // namespace
}  // namespace winit_cuda

int main(int count, char** words) {
  const winit_cuda::DefaultFloatingPoint environment;
  if (count == 2 && !std::strcmp(words[1], "hashes")) return winit_cuda::print_hashes();
  if (count == 6 && !std::strcmp(words[1], "fill")) return winit_cuda::fill_once(words + 2);
  return 2;
}
