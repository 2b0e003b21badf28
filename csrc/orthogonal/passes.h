// Panels of reflectors, and the table of what is done with one on the CPU by instruction set.
//
// A panel holds the reflectors [first, first + width) of a matrix (orthogonal/reflectors.h) as the
// columns of rows `first` and below, side by side in lines of kPanelColumns. Their product is
//
//     H = I - V M^{-1} V^T,  M = I + striu(V^T V),
//
// the UT form of the compact WY representation (Puglisi 1992; Joffrain et al. 2006). It is applied
// to strips: kStripBytes of columns of a matrix that lie side by side, row by row.
//
// Every sum is made in one order, whatever the instruction set and the number of threads, so that
// a matrix has the same bits on every CPU.
#pragma once

#include <cstdint>

#include "simd/choice.h"

namespace winit_cuda {

// Seven cache lines of float32; with 28 = 4 * 7 a multiple of the rows that the products of every
// instruction set take at a time.
constexpr int64_t kPanelColumns = 112;
constexpr int64_t kRowUnit = 28;  // panels and strips have a multiple of it as rows, with zeros
constexpr int64_t kStripBytes = 128;
constexpr int64_t kGramColumns = 128;  // a line of V^T V

template <class Real>
inline constexpr int64_t kStripColumns = kStripBytes / static_cast<int64_t>(sizeof(Real));

// The strips' rows [begin, end) that are not zero.
struct RowRange {
  int64_t begin, end;
};

template <class Real>
struct Panel {
  Real* vectors;  // (rows - first) lines of kPanelColumns
  Real* gram;     // kPanelColumns lines of kGramColumns: V^T V, of which the upper triangle counts
  int64_t first, width;
  int64_t rows;  // of the whole matrix, a multiple of kRowUnit
};

// Which way round the reflectors of a panel follow each other.
enum class Order { kLastToFirst, kFirstToLast };

template <class Real>
struct PanelPasses {
  int lanes;  // of a vector
  // Adds the squares of `count` lines of x to kPanelColumns sums, line after line.
  void (*add_squares)(const Real* x, int64_t count, double* sums);
  // x[i][j] = x[i][j] * factors[j], rounded once, for `count` lines.
  void (*scale)(Real* x, int64_t count, const double* factors);
  // V^T V for the columns [column, column + kStripColumns) and the reflectors up to them.
  void (*gram)(const Panel<Real>& panel, int64_t column);
  // Multiplies strips by H from the left, or by H^T. Strip s has kStripColumns * panel.rows
  // elements, and those of its rows in nonzero[s], which is brought up to date, are not zero.
  void (*apply)(const Panel<Real>& panel, Order order, Real* const* strips, RowRange* nonzero,
                int64_t count);
};

// The row of an instruction set (isa.cpp).
template <Isa isa, class Real>
const PanelPasses<Real>* panel_passes();

template <class Real>
static inline const PanelPasses<Real>& active_panel_passes() {
  return *of_active_isa([](auto isa) { return panel_passes<isa(), Real>(); });
}

}  // namespace winit_cuda
