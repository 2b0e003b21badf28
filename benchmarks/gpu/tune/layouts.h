// Where a block's shared memory may have the quantile table of 6 numbers for each of 128 segments,
// and how a thread reads the six of one. The product has Rows.
//
// The threads of a warp read different segments. What that costs in bank conflicts is predicted by
// banks.py, which has the same layouts.
#pragma once

#include "values/scalar.h"

namespace winit_cuda {
namespace tune {

constexpr int kEntries = kFloatDegree + 2;

template <int kWidth>
WINIT_HD void load(const float* from, float* to) {
  struct alignas(4 * kWidth) Vector {
    float values[kWidth];
  };
  const Vector vector = *reinterpret_cast<const Vector*>(from);
  for (int i = 0; i < kWidth; ++i) to[i] = vector.values[i];
}

// A row for each coefficient, read one by one as the polynomial needs them.
struct Rows {
  static constexpr int kSize = kEntries * kSegments;
  static WINIT_HD_MEMBER int place(int row, int segment) { return row * kSegments + segment; }
};

// A row for every two.
struct Pairs {
  static constexpr int kSize = kEntries * kSegments;
  static WINIT_HD_MEMBER int place(int row, int segment) {
    return (row / 2 * kSegments + segment) * 2 + row % 2;
  }
  static WINIT_HD_MEMBER void read(const float* table, uint32_t segment, float* entries) {
    for (int row = 0; row < kEntries; row += 2)
      load<2>(table + place(row, static_cast<int>(segment)), entries + row);
  }
};

// A row for four, and one for two.
struct FourAndTwo {
  static constexpr int kSize = kEntries * kSegments;
  static WINIT_HD_MEMBER int place(int row, int segment) {
    return row < 4 ? 4 * segment + row : 4 * kSegments + 2 * segment + row - 4;
  }
  static WINIT_HD_MEMBER void read(const float* table, uint32_t segment, float* entries) {
    load<4>(table + 4 * segment, entries);
    load<2>(table + 4 * kSegments + 2 * segment, entries + 4);
  }
};

// A segment's entries side by side, every kStride words, loaded kWidth at a time: padded, segments
// that differ by little share fewer banks.
template <int kStride, int kWidth>
struct Segments {
  static constexpr int kSize = kStride * kSegments;
  static WINIT_HD_MEMBER int place(int row, int segment) { return segment * kStride + row; }
  static WINIT_HD_MEMBER void read(const float* table, uint32_t segment, float* entries) {
    const float* first = table + segment * kStride;
    if constexpr (kWidth == 4) {
      load<4>(first, entries);
      load<2>(first + 4, entries + 4);
    } else {
      for (int row = 0; row < kEntries; row += kWidth) load<kWidth>(first + row, entries + row);
    }
  }
};

using SegmentsOf6 = Segments<6, 2>;
using SegmentsOf8 = Segments<8, 4>;
using SegmentsOf12 = Segments<12, 4>;

// The product's lanes with the table in another layout.
template <class Layout>
struct LanesOf : Scalar32 {
  struct Quantile {
    const float* table;
    float base;
    WINIT_HD_MEMBER Quantile(const float* table_, float, float base_)
        : table(table_), base(base_) {}
    WINIT_HD_MEMBER F operator()(F c, F p) const {
      if constexpr (std::is_same_v<Layout, Rows>) {
        return quantile_value(table, base, c, p);
      } else {
        float entries[kEntries];
        Layout::read(table, (bits_of(p) >> 21) & (kSegments - 1), entries);
        return polynomial_value(entries, 1, base, c, p);
      }
    }
  };
};

}  // namespace tune
}  // namespace winit_cuda
