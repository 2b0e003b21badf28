#include "testing/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace winit_cuda {
namespace emulation {
namespace {

constexpr uint64_t kMostCopied = uint64_t{1} << 28;

std::string bytes_of(const Region& region) {
  const uint64_t size = region.end - region.begin;
  if (size > kMostCopied) return {};
  return {reinterpret_cast<const char*>(region.begin), static_cast<size_t>(size)};
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
      {begin, begin + bytes, writable, writable ? std::make_shared<Watched>(bytes) : nullptr});
}

void DeviceMemory::remove(uint64_t begin) {
  const auto found = std::find_if(regions_.rbegin(), regions_.rend(),
                                  [&](const Region& region) { return region.begin == begin; });
  if (found != regions_.rend()) regions_.erase(std::next(found).base());
  last_ = 0;
}

Region* DeviceMemory::find(uint64_t address, int count, bool is_read) {
  if (last_ >= regions_.size() || !regions_[last_].holds(address, count))
    for (last_ = 0; last_ < regions_.size(); ++last_)
      if (regions_[last_].holds(address, count)) break;
  if (last_ == regions_.size()) return nullptr;
  Region& region = regions_[last_];
  if (is_read) return &region;
  if (!region.writable) return nullptr;
  if (!region.is_written) {
    region.is_written = true;
    region.before = bytes_of(region);
  }
  return &region;
}

void DeviceMemory::begin_launch() {
  for (Region& region : regions_) {
    region.is_written = false;
    region.before.clear();
  }
}

Contents DeviceMemory::written() const {
  Contents contents;
  for (const Region& region : regions_)
    if (region.is_written) contents[region.begin] = bytes_of(region);
  return contents;
}

bool DeviceMemory::has(const Contents& contents) const {
  size_t written = 0;
  for (const Region& region : regions_) {
    if (!region.is_written) continue;
    const auto found = contents.find(region.begin);
    if (found == contents.end() || std::memcmp(reinterpret_cast<const char*>(region.begin),
                                               found->second.data(), found->second.size()) != 0)
      return false;
    ++written;
  }
  return written == contents.size();
}

void DeviceMemory::restore() const {
  for (const Region& region : regions_)
    std::memcpy(reinterpret_cast<char*>(region.begin), region.before.data(), region.before.size());
}

}  // namespace emulation
}  // namespace winit_cuda
