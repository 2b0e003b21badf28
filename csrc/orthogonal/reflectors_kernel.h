// The body of the kernel that makes reflectors of their normals.
#pragma once

#include "orthogonal/reflectors.h"
#include "platform/grid.h"

// Loads in flight: a row that waits for the one before it would wait for memory every time.
#if defined(__CUDA_ARCH__)
#define WINIT_UNROLL_FOUR _Pragma("unroll 4")
#else
#define WINIT_UNROLL_FOUR
#endif

namespace winit_cuda {

// A block takes so many columns, next to each other in memory, and deals their rows out to so many
// lanes: few columns have many blocks then, and a lane has few rows.
constexpr int kReflectorColumns = 16, kReflectorLanes = 32;

inline BlockGrid reflectors_grid(const Reflectors& reflectors) {
  constexpr int kThreads = kReflectorColumns * kReflectorLanes;
  return {(reflectors.columns + kReflectorColumns - 1) / kReflectorColumns, kThreads,
          (kThreads + kReflectorColumns) * static_cast<int64_t>(sizeof(double))};
}

template <class Real, class Block>
WINIT_HD void make_reflectors(const Reflectors& reflectors, const Block& block) {
  Real* vectors = static_cast<Real*>(reflectors.vectors);
  const int lane = block.thread() / kReflectorColumns;
  const int place = block.thread() % kReflectorColumns;
  double* squares = block.template shared<double>();
  double* scales = squares + kReflectorLanes * kReflectorColumns;
  for (int64_t group = block.index(); group * kReflectorColumns < reflectors.columns;
       group += block.blocks()) {
    const int64_t column = group * kReflectorColumns + place;
    const bool is_there = column < reflectors.columns;
    double square = 0;
    if (is_there) {
      // From the group's first column on, so that the lanes of a row read it at once.
      const int64_t start = group * kReflectorColumns + lane;
      WINIT_UNROLL_FOUR
      for (int64_t row = start; row < reflectors.rows; row += kReflectorLanes) {
        const double x = row < column ? 0 : vectors[row * reflectors.columns + column];
        square = fused(x, x, square);
      }
    }
    // Two barriers a group: nobody reads `squares` behind the second, and `scales` are written
    // behind the first, when all have done with those of the group before.
    squares[lane * kReflectorColumns + place] = square;
    block.sync();
    if (is_there && lane == 0) {
      for (int other = 1; other < kReflectorLanes; ++other)
        square += squares[other * kReflectorColumns + place];
      Real& entry = vectors[column * reflectors.columns + column];
      const ReflectorHead head = reflector_head(entry, square, column == reflectors.rows - 1);
      entry = static_cast<Real>(head.head);
      static_cast<Real*>(reflectors.signs)[column] = static_cast<Real>(head.sign);
      scales[place] = head.scale;
    }
    block.sync();
    if (is_there) {
      WINIT_UNROLL_FOUR
      for (int64_t row = lane; row < reflectors.rows; row += kReflectorLanes) {
        Real& entry = vectors[row * reflectors.columns + column];
        if (row < column) entry = 0;
        if (row > column) entry = static_cast<Real>(static_cast<double>(entry) * scales[place]);
      }
    }
  }
}

}  // namespace winit_cuda
