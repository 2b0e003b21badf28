// The work on panels (orthogonal/passes.h) over vectors of any length, V. isa.cpp compiles it for
// the vectors of each instruction set.
#pragma once

#include <algorithm>

#include "orthogonal/add_square.h"
#include "orthogonal/passes.h"
#include "platform/host_device.h"
#include "platform/interruption.h"

namespace winit_cuda {

namespace simd {

// Terms that are summed before they are added to the sum of those before them: so many lines of a
// strip stay in the first-level cache.
constexpr int64_t kTerms = 256;

// Element (i, k) of a factor lies at i * kRowStep + k * kTermStep. The terms of a product are taken
// from the first to the last, or the other way round.
struct AcrossPanel {  // V^T: neighboring reflectors are neighbors in memory
  static constexpr int64_t kRowStep = 1, kTermStep = kPanelColumns;
  static constexpr bool kFromLast = false;
};
// V. Of a column of the identity the last reflector that meets it takes off nearly all: while it
// is still 1, every other term would be rounded to the precision of 1.
struct AlongPanel {
  static constexpr int64_t kRowStep = kPanelColumns, kTermStep = 1;
  static constexpr bool kFromLast = true;
};
struct AlongGram {  // M, solved from the last row to the first
  static constexpr int64_t kRowStep = kGramColumns, kTermStep = 1;
  static constexpr bool kFromLast = true;
};
struct AcrossGram {  // M^T, solved from the first row to the last
  static constexpr int64_t kRowStep = 1, kTermStep = kGramColumns;
  static constexpr bool kFromLast = false;
};

// A block of V::kRows rows by V::kWidth vectors, held in registers.
template <class V>
struct Block {
  static constexpr int64_t kColumns = V::kWidth * V::kLanes;
  using Real = typename V::Real;
  typename V::F held[V::kRows][V::kWidth];

  WINIT_HD_MEMBER void clear() {
#pragma GCC unroll 16
    for (int i = 0; i < V::kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < V::kWidth; ++j) held[i][j] = V::splat(0);
  }
  WINIT_HD_MEMBER void load(const Real* in, int64_t line) {
#pragma GCC unroll 16
    for (int i = 0; i < V::kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < V::kWidth; ++j) held[i][j] = V::load(in + i * line + j * V::kLanes);
  }
  WINIT_HD_MEMBER void add(const Real* in, int64_t line) {
#pragma GCC unroll 16
    for (int i = 0; i < V::kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < V::kWidth; ++j)
        held[i][j] = V::add(held[i][j], V::load(in + i * line + j * V::kLanes));
  }
  WINIT_HD_MEMBER void store(Real* out, int64_t line) const {
#pragma GCC unroll 16
    for (int i = 0; i < V::kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < V::kWidth; ++j) V::store(out + i * line + j * V::kLanes, held[i][j]);
  }

  // Solves with the unit triangle of the factor's first rows and terms: the upper one where terms
  // come from the last, else the lower. Terms are taken in the order of `multiply`, so that a sum
  // does not depend on where blocks begin.
  template <class Factor>
  WINIT_HD_MEMBER void substitute(const Real* factor) {
    constexpr int kLast = V::kRows - 1;
#pragma GCC unroll 16
    for (int step = 1; step < V::kRows; ++step) {
      const int row = Factor::kFromLast ? kLast - step : step;
#pragma GCC unroll 16
      for (int known = 0; known < step; ++known) {
        const int k = Factor::kFromLast ? kLast - known : known;
        const typename V::F one = V::splat(factor[row * Factor::kRowStep + k * Factor::kTermStep]);
#pragma GCC unroll 4
        for (int j = 0; j < V::kWidth; ++j)
          held[row][j] = V::multiply_subtract(one, held[k][j], held[row][j]);
      }
    }
  }

  // Adds or subtracts the product of a factor's rows and `terms` lines.
  template <class Factor, bool kSubtract>
  WINIT_HD_MEMBER void multiply(const Real* factor, const Real* lines, int64_t line,
                                int64_t terms) {
    constexpr int64_t kDirection = Factor::kFromLast ? -1 : 1;
    if (Factor::kFromLast) {
      factor += (terms - 1) * Factor::kTermStep;
      lines += (terms - 1) * line;
    }
    for (int64_t k = 0; k < terms; ++k) {
      typename V::F other[V::kWidth];
#pragma GCC unroll 4
      for (int j = 0; j < V::kWidth; ++j) other[j] = V::load(lines + j * V::kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < V::kRows; ++i) {
        const typename V::F one = V::splat(factor[i * Factor::kRowStep]);
#pragma GCC unroll 4
        for (int j = 0; j < V::kWidth; ++j)
          held[i][j] = kSubtract ? V::multiply_subtract(one, other[j], held[i][j])
                                 : V::multiply_add(one, other[j], held[i][j]);
      }
      factor += kDirection * Factor::kTermStep;
      lines += kDirection * line;
    }
  }
};

// out = V^T x, or more of it: the terms [begin, end) for reflectors [0, width), x a strip whose
// row 0 belongs to the panel's first line.
template <class V>
static void project(const typename V::Real* vectors, const typename V::Real* x, int64_t line,
                    int64_t begin, int64_t end, int64_t width, bool more, typename V::Real* out,
                    int64_t out_line, int64_t columns) {
  for (int64_t i = 0; i < width; i += V::kRows)
    for (int64_t j = 0; j < columns; j += Block<V>::kColumns) {
      Block<V> block;
      block.clear();
      const int64_t from = std::max(begin, i);  // over the diagonal are zeros
      block.template multiply<AcrossPanel, false>(vectors + from * kPanelColumns + i,
                                                  x + from * line + j, line, end - from);
      if (more) block.add(out + i * out_line + j, out_line);
      block.store(out + i * out_line + j, out_line);
    }
}

template <class Real>
static void add_squares(const Real* x, int64_t count, double* sums) {
  double held[kPanelColumns];
  std::copy_n(sums, kPanelColumns, held);
  for (int64_t row = 0; row < count; ++row)
    for (int64_t column = 0; column < kPanelColumns; ++column)
      held[column] = add_square(x[row * kPanelColumns + column], held[column]);
  std::copy_n(held, kPanelColumns, sums);
}

template <class Real>
static void scale(Real* x, int64_t count, const double* factors) {
  for (int64_t row = 0; row < count; ++row)
    for (int64_t column = 0; column < kPanelColumns; ++column) {
      Real& value = x[row * kPanelColumns + column];
      value = static_cast<Real>(static_cast<double>(value) * factors[column]);
    }
}

// Rounded up to what the blocks take.
template <class V>
WINIT_HD int64_t whole_blocks(int64_t rows) {
  return (rows + V::kRows - 1) / V::kRows * V::kRows;
}

template <class V>
static void gram(const Panel<typename V::Real>& panel, int64_t column) {
  using Real = typename V::Real;
  const int64_t columns = kStripColumns<Real>;
  const int64_t width = whole_blocks<V>(std::min(column + columns, panel.width));
  const int64_t lines = panel.rows - panel.first;
  Real* out = panel.gram + column;
  bool more = false;
  for (int64_t begin = column; begin < lines; begin += kTerms, more = true) {
    if (more) check_interruption();
    project<V>(panel.vectors, panel.vectors + column, kPanelColumns, begin,
               std::min(begin + kTerms, lines), width, more, out, kGramColumns, columns);
  }
}

// u = M^{-1} u: from the last rows to the first, what is known is taken off.
template <class V>
static void solve(const typename V::Real* gram, int64_t width, typename V::Real* u) {
  using Real = typename V::Real;
  constexpr int64_t kColumns = kStripColumns<Real>;
  for (int64_t i = width - V::kRows; i >= 0; i -= V::kRows) {
    const int64_t below = i + V::kRows;
    for (int64_t j = 0; j < kColumns; j += Block<V>::kColumns) {
      Block<V> block;
      block.load(u + i * kColumns + j, kColumns);
      block.template multiply<AlongGram, true>(gram + i * kGramColumns + below,
                                               u + below * kColumns + j, kColumns, width - below);
      block.template substitute<AlongGram>(gram + i * kGramColumns + i);
      block.store(u + i * kColumns + j, kColumns);
    }
  }
}

// u = M^{-T} u: from the first rows to the last.
template <class V>
static void solve_transposed(const typename V::Real* gram, int64_t width, typename V::Real* u) {
  using Real = typename V::Real;
  constexpr int64_t kColumns = kStripColumns<Real>;
  for (int64_t i = 0; i < width; i += V::kRows) {
    for (int64_t j = 0; j < kColumns; j += Block<V>::kColumns) {
      Block<V> block;
      block.load(u + i * kColumns + j, kColumns);
      block.template multiply<AcrossGram, true>(gram + i, u + j, kColumns, i);
      block.template substitute<AcrossGram>(gram + i * kGramColumns + i);
      block.store(u + i * kColumns + j, kColumns);
    }
  }
}

// x -= V u for lines [begin, end) of the panel.
template <class V>
static void subtract(const typename V::Real* vectors, const typename V::Real* u, int64_t width,
                     int64_t begin, int64_t end, typename V::Real* x) {
  constexpr int64_t kColumns = kStripColumns<typename V::Real>;
  for (int64_t row = begin; row < end; row += V::kRows) {
    const int64_t terms = std::min(width, row + V::kRows);  // beyond are zeros
    for (int64_t j = 0; j < kColumns; j += Block<V>::kColumns) {
      Block<V> block;
      block.load(x + row * kColumns + j, kColumns);
      block.template multiply<AlongPanel, true>(vectors + row * kPanelColumns, u + j, kColumns,
                                                terms);
      block.store(x + row * kColumns + j, kColumns);
    }
  }
}

// As many strips at a time as share a stretch of the panel while it is in the second-level cache.
constexpr int64_t kStripsTogether = 4;
// Lines of a panel that they share when it is subtracted: 50 KB of float32.
constexpr int64_t kLinesTogether = 112;

template <class V>
static void apply_together(const Panel<typename V::Real>& panel, Order order,
                           typename V::Real* const* strips, RowRange* nonzero, int64_t count) {
  using Real = typename V::Real;
  constexpr int64_t kColumns = kStripColumns<Real>;
  alignas(64) Real u[kStripsTogether][kPanelColumns * kColumns];
  const int64_t lines = panel.rows - panel.first;
  const int64_t width = whole_blocks<V>(panel.width);
  bool more[kStripsTogether] = {};
  for (int64_t begin = 0; begin < lines; begin += kTerms) {
    if (begin > 0) check_interruption();
    for (int64_t s = 0; s < count; ++s) {
      const int64_t from = std::max(begin, nonzero[s].begin - panel.first);
      const int64_t to = std::min(begin + kTerms, nonzero[s].end - panel.first);
      if (from >= to) continue;
      project<V>(panel.vectors, strips[s] + panel.first * kColumns, kColumns, from, to, width,
                 more[s], u[s], kColumns, kColumns);
      more[s] = true;
    }
  }
  for (int64_t s = 0; s < count; ++s) {
    if (!more[s]) continue;
    order == Order::kLastToFirst ? solve<V>(panel.gram, width, u[s])
                                 : solve_transposed<V>(panel.gram, width, u[s]);
  }
  for (int64_t begin = 0; begin < lines; begin += kLinesTogether) {
    if (begin > 0) check_interruption();
    for (int64_t s = 0; s < count; ++s)
      if (more[s])
        subtract<V>(panel.vectors, u[s], panel.width, begin,
                    std::min(begin + kLinesTogether, lines), strips[s] + panel.first * kColumns);
  }
  for (int64_t s = 0; s < count; ++s)
    if (more[s]) nonzero[s] = {std::min(nonzero[s].begin, panel.first), panel.rows};
}

template <class V>
static void apply(const Panel<typename V::Real>& panel, Order order,
                  typename V::Real* const* strips, RowRange* nonzero, int64_t count) {
  for (int64_t s = 0; s < count; s += kStripsTogether)
    apply_together<V>(panel, order, strips + s, nonzero + s, std::min(kStripsTogether, count - s));
}

template <class V>
constexpr PanelPasses<typename V::Real> panel_passes_of() {
  using Real = typename V::Real;
  static_assert(kRowUnit % V::kRows == 0 && kPanelColumns % V::kRows == 0);
  static_assert(kStripColumns<Real> % Block<V>::kColumns == 0);
  return {V::kLanes, add_squares<Real>, scale<Real>, gram<V>, apply<V>};
}

}  // namespace simd
}  // namespace winit_cuda
