#include "many/layout.h"

#include <cstring>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "many/kernel.h"

namespace winit_cuda {
namespace {

constexpr size_t kAlignment = 16;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Bytes that several tensors may refer to, each kept once.
class SharedBytes {
 public:
  uint32_t add(const void* bytes, size_t size) {
    std::string content(static_cast<const char*>(bytes), size);
    const auto [place, is_new] =
        places_.try_emplace(std::move(content), static_cast<uint32_t>(bytes_.size()));
    if (is_new) {
      const auto* begin = static_cast<const unsigned char*>(bytes);
      bytes_.insert(bytes_.end(), begin, begin + size);
      bytes_.resize(aligned(bytes_.size()));
    }
    return place->second;
  }
  const std::vector<unsigned char>& bytes() const { return bytes_; }

 private:
  std::unordered_map<std::string, uint32_t> places_;
  std::vector<unsigned char> bytes_;
};

// Where normal laws have theirs.
template <class Real>
const Real* normal_table() {
  const static Law standard = normal_law(DType::kFloat32, 0, 1).law;
  if constexpr (sizeof(Real) == 4)
    return standard.numbers.normal.quantile;
  else
    return standard.double_numbers.normal.quantile;
}

// Padding is zero, so that equal numbers have equal bytes.
template <class Real, class Numbers>
uint32_t add_numbers(const Numbers& numbers, float rescaling, SharedBytes& shared) {
  PackedNumbers<Numbers> packed;
  std::memset(static_cast<void*>(&packed), 0, sizeof(packed));
  packed.numbers = numbers;
  packed.table = kNowhere;
  packed.rescaling = rescaling;
  if constexpr (kHasTable<Numbers>) {
    if (numbers.quantile != normal_table<Real>())
      packed.table = shared.add(numbers.quantile, kTableSize<Real> * sizeof(Real));
    packed.numbers.quantile = nullptr;
  }
  return shared.add(&packed, sizeof(packed));
}

uint32_t add_rows(const Box& box, SharedBytes& shared) {
  const Rows rows = rows_of(box);
  return shared.add(&rows, sizeof(rows));
}

// How many tiles there are for this many steps of a thread's loop, blocks of words or stores of a
// constant, so many of them in a thread.
uint32_t tiles_for(int64_t steps, int64_t steps_per_thread) {
  const int64_t tile = tuning::kListThreads * steps_per_thread;
  return static_cast<uint32_t>((steps + tile - 1) / tile);
}

// Describes a fill but for its first tile, and says how many it has.
uint32_t describe_one(const RandomFill& fill, ManyTensor& tensor, SharedBytes& shared) {
  const Box& box = fill.target.box;
  tensor.pointer = fill.target.pointer;
  tensor.dtype = static_cast<uint8_t>(fill.target.dtype);
  tensor.law = static_cast<uint8_t>(listed(fill.law.distribution));
  uint32_t tiles = 0;
  with_scalar_map(fill.target.dtype, fill.law.distribution, [&](auto element, auto map) {
    using T = typename decltype(element)::type;
    using Map = typename decltype(map)::type;
    constexpr int64_t group = kGroupOf<T>, blocks = group / 4 * (sizeof(T) == 8 ? 2 : 1);
    const auto& numbers = any_form(fill.law.numbers_of<Map>());
    tensor.numbers = add_numbers<typename Map::Real>(numbers, fill.law.rescaling, shared);
    if (is_aligned(fill))
      tiles = tiles_for(box.size[0] / group + 1, tuning::kListWordBlocksPerThread / blocks);
  });
  if (tiles) {
    tensor.count = box.size[0];
    tensor.index_offset = box.index_offset;
    return tiles;
  }
  const Rows rows = rows_of(box);
  tensor.rows = add_rows(box, shared);
  return tiles_for(rows.rows * rows.slots, tuning::kListWordBlocksPerThread);
}

uint32_t describe_one(const ConstantFill& fill, ManyTensor& tensor, SharedBytes& shared) {
  tensor.pointer = fill.pointer;
  tensor.dtype = static_cast<uint8_t>(fill.itemsize);
  tensor.law = kConstant;
  tensor.seed_or_bits = fill.bits;
  if (is_contiguous(fill.pointer, fill.box)) {
    tensor.count = fill.box.size[0];
    return tiles_for(tensor.count * fill.itemsize / kStoreBytes + 1, tuning::kListStoresPerThread);
  }
  const Rows rows = rows_of(fill.box);
  tensor.rows = add_rows(fill.box, shared);
  return tiles_for(rows.rows * rows.slots, tuning::kListStoresPerThread);
}

size_t size_of(size_t tensors, size_t shared) {
  return aligned(sizeof(ManyHeader) + tensors * sizeof(ManyTensor)) + shared;
}

ManyDescriptors assemble(size_t first, uint32_t tiles, const std::vector<ManyTensor>& tensors,
                         const unsigned char* shared, size_t shared_size) {
  const size_t front = size_of(tensors.size(), 0);
  const ManyHeader header = {tiles, static_cast<uint32_t>(tensors.size()),
                             static_cast<uint32_t>(front), 0};
  ManyDescriptors made{first, tensors.size(), tiles,
                       std::vector<unsigned char>(front + shared_size)};
  std::memcpy(made.bytes.data(), &header, sizeof(header));
  std::memcpy(made.bytes.data() + sizeof(header), tensors.data(),
              tensors.size() * sizeof(ManyTensor));
  std::memcpy(made.bytes.data() + front, shared, shared_size);
  return made;
}

}  // namespace

ManyDescriptors describe(const FillList& list, size_t first, size_t capacity) {
  std::vector<ManyTensor> tensors;
  SharedBytes shared;
  size_t shared_size = 0;
  uint32_t tiles = 0;
  for (size_t i = first; i < list.fills.size(); ++i) {
    ManyTensor tensor{};
    tensor.numbers = tensor.rows = kNowhere;
    tensor.first_tile = tiles;
    const uint32_t more = std::visit(
        [&](const auto& fill) { return describe_one(fill, tensor, shared); }, list.fills[i]);
    if (size_of(tensors.size() + 1, shared.bytes().size()) > capacity) {
      if (tensors.empty()) throw std::logic_error("one fill has too long a descriptor");
      break;  // what it added to `shared` is left out
    }
    tensors.push_back(tensor);
    shared_size = shared.bytes().size();
    tiles += more;
  }
  return assemble(first, tiles, tensors, shared.bytes().data(), shared_size);
}

void write_descriptors(const ManyDescriptors& descriptors, const uint64_t* keys,
                       unsigned char* out) {
  std::memcpy(out, descriptors.bytes.data(), descriptors.bytes.size());
  if (!keys) return;
  auto* tensors = reinterpret_cast<ManyTensor*>(out + sizeof(ManyHeader));
  for (size_t i = 0; i < descriptors.count; ++i) {
    if (tensors[i].law == kConstant) continue;
    tensors[i].seed_or_bits = keys[2 * (descriptors.first + i)];
    tensors[i].stream = keys[2 * (descriptors.first + i) + 1];
  }
}

}  // namespace winit_cuda
