#include "testing/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace winit_cuda {
namespace emulation {
namespace {

// Address space that a test has reserved for the sake of its strides is not copied.
constexpr uint64_t kMostCopied = uint64_t{1} << 28;

bool is_copied(const Region& region) {
  return region.writable && region.end - region.begin <= kMostCopied;
}

}  // namespace
Watched::Watched(uint64_t bytes, int unit_bits) : unit_bits_(unit_bits) {
  const uint64_t size = ((bytes >> unit_bits) + 1) * sizeof(Touch);
  void* const pages = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  touches_ = {static_cast<Touch*>(pages), Release{size}};
}

void Watched::Release::operator()(Touch* touches) const { munmap(touches, bytes); }

void DeviceMemory::add(uint64_t begin, uint64_t bytes, bool writable) {
  regions_.push_back(
      {begin, begin + bytes, writable, writable ? std::make_shared<Watched>(bytes, 0) : nullptr});
}

void DeviceMemory::remove(uint64_t begin) {
  const auto found = std::find_if(regions_.rbegin(), regions_.rend(),
                                  [&](const Region& region) { return region.begin == begin; });
  if (found != regions_.rend()) regions_.erase(std::next(found).base());
  last_ = 0;
}

Contents DeviceMemory::contents() const {
  Contents contents;
  for (const Region& region : regions_)
    if (is_copied(region))
      contents.emplace_back(reinterpret_cast<const char*>(region.begin), region.end - region.begin);
  return contents;
}

void DeviceMemory::restore(const Contents& contents) {
  size_t next = 0;
  for (const Region& region : regions_)
    if (is_copied(region)) {
      const std::string& bytes = contents[next++];
      std::memcpy(reinterpret_cast<char*>(region.begin), bytes.data(), bytes.size());
    }
}

Region* DeviceMemory::find(uint64_t address, int count) {
  if (last_ < regions_.size() && regions_[last_].holds(address, count)) return &regions_[last_];
  for (last_ = 0; last_ < regions_.size(); ++last_)
    if (regions_[last_].holds(address, count)) return &regions_[last_];
  return nullptr;
}

}  // namespace emulation
}  // namespace winit_cuda
