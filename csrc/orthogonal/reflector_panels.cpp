#include "orthogonal/reflector_panels.h"

#include <algorithm>

#include "orthogonal/reflectors.h"
#include "platform/floating_point.h"
#include "platform/interruption.h"
#include "platform/parallel.h"
#include "platform/tuning.h"
#include "values/distributions.h"

namespace winit_cuda {
namespace {

// Lines that are drawn and squared at a time; part of the order of the sums.
constexpr int64_t kStretch = 256;
constexpr int64_t kGramSize = kPanelColumns * kGramColumns;

int64_t padded(int64_t rows) { return rounded_up(rows, kRowUnit); }

// Elements of the panel that begins with reflector `first`. A product reads whole strips: the last
// line's may end behind it.
template <class Real>
int64_t panel_size(int64_t rows, int64_t first) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(Real));
  static_assert(kStripColumns<Real> % kLine == 0 && kPanelColumns % kLine == 0);
  return plus(times(padded(rows) - first, kPanelColumns), kStripColumns<Real>);
}

// Elements of the first panels of a matrix.
template <class Real>
int64_t panels_size(int64_t rows, int64_t panels) {
  const int64_t full = times(panels, panel_size<Real>(rows, 0));
  if (full == kTooLarge) return full;
  // Each begins so much further down than the one before; twice that is less than `full`.
  return full - panels * (panels - 1) / 2 * (kPanelColumns * kPanelColumns);
}

int64_t most_stretches(int64_t rows) { return rounded_up(padded(rows), kStretch) / kStretch; }

}  // namespace

template <class Real>
ReflectorPanels<Real>::ReflectorPanels(int64_t rows, int64_t columns, int64_t used,
                                       int64_t together, Rooms& rooms)
    : rows_(rows), columns_(columns), used_(used), together_(together) {
  const int64_t reflectors = times(together, kPanelColumns);
  const int64_t stretches = times(together, most_stretches(rows));
  vectors_ = rooms.get<Real>(panels_size<Real>(rows, together));
  grams_ = rooms.get<Real>(times(together, kGramSize));
  panels_ = rooms.get<Panel<Real>>(together);
  signs_ = rooms.get<double>(reflectors);
  factors_ = rooms.get<double>(reflectors);
  heads_ = rooms.get<double>(reflectors);
  stretches_ = rooms.get<Stretch>(stretches);
  sums_ = rooms.get<double>(times(stretches, kPanelColumns));
}

template <class Real>
void ReflectorPanels<Real>::begin(const Source& source) {
  source_ = source;
  source_.domain = Domain::kOrthogonal;
  // What lies under the diagonal or beside the last reflector is multiplied by zero.
  std::fill_n(grams_, together_ * kGramSize, Real{0});
}

template <class Real>
int64_t ReflectorPanels<Real>::bytes(int64_t rows, int64_t panels) {
  return times(plus(panels_size<Real>(rows, panels), times(panels, kGramSize)),
               static_cast<int64_t>(sizeof(Real)));
}

template <class Real>
void ReflectorPanels<Real>::make(int64_t begin, int64_t end, int threads) {
  begin_ = begin;
  Real* vectors = vectors_;
  int64_t count = 0;  // of stretches
  for (int64_t number = begin; number < end; ++number) {
    const int64_t first = number * kPanelColumns;
    panels_[number - begin] = {vectors, grams_ + (number - begin) * kGramSize, first,
                               std::min(kPanelColumns, used_ - first), padded(rows_)};
    vectors += panel_size<Real>(rows_, first);
    for (int64_t line = 0; line < padded(rows_) - first; line += kStretch)
      stretches_[count++] = {number, line, std::min(line + kStretch, padded(rows_) - first)};
  }
  const int64_t reflectors = (end - begin) * kPanelColumns;
  std::fill_n(signs_, reflectors, 0.0);
  std::fill_n(factors_, reflectors, 0.0);
  std::fill_n(heads_, reflectors, 0.0);
  const auto for_stretches = [&](const auto& body) {
    parallel_for(
        count, std::clamp<int64_t>(count / (8 * threads), 1, tuning::kStretchesTogether), threads,
        [&](int64_t from, int64_t to) {
          const DefaultFloatingPoint environment;
          for (int64_t i = from; i < to; ++i) {
            if (i > from) check_interruption();
            body(i, stretches_[i]);
          }
        },
        wake_if(count >= tuning::kStretchesWorthWaking));
  };
  const PanelPasses<Real>& passes = active_panel_passes<Real>();
  for_stretches([&](int64_t i, const Stretch& stretch) {
    double* const sums = sums_ + i * kPanelColumns;
    std::fill_n(sums, kPanelColumns, 0.0);
    draw(stretch, sums);
  });
  const double* sums = sums_;
  for (int64_t number = begin; number < end; ++number) {
    const Panel<Real>& panel = (*this)[number];
    make_heads(panel, sums);
    sums += (panel.rows - panel.first + kStretch - 1) / kStretch * kPanelColumns;
  }
  for_stretches([&](int64_t, const Stretch& stretch) {
    const Panel<Real>& panel = (*this)[stretch.panel];
    passes.scale(panel.vectors + stretch.begin * kPanelColumns, stretch.end - stretch.begin,
                 factors_ + (stretch.panel - begin_) * kPanelColumns);
  });
  for (int64_t number = begin; number < end; ++number) {
    // The factors do not know the new first elements.
    const Panel<Real>& panel = (*this)[number];
    for (int64_t i = 0; i < panel.width; ++i)
      panel.vectors[i * kPanelColumns + i] =
          static_cast<Real>(heads_[panel.first + i - begin_ * kPanelColumns]);
  }
  constexpr int64_t kStrips = kGramColumns / kStripColumns<Real>;
  parallel_for((end - begin) * kStrips, 1, threads, [&](int64_t from, int64_t to) {
    const DefaultFloatingPoint environment;
    for (int64_t i = from; i < to; ++i) {
      const Panel<Real>& panel = panels_[i / kStrips];
      const int64_t column = i % kStrips * kStripColumns<Real>;
      if (column < panel.width) passes.gram(panel, column);
    }
  });
}

// Lines of normals, with zeros over the diagonal, below the matrix and beside the last reflector,
// and the sums of their squares.
template <class Real>
void ReflectorPanels<Real>::draw(const Stretch& stretch, double* sums) const {
  const Panel<Real>& panel = (*this)[stretch.panel];
  constexpr DType dtype = sizeof(Real) == 8 ? DType::kFloat64 : DType::kFloat32;
  RandomFill fill{};
  fill.target = {panel.vectors, dtype, Box{}};
  Box& box = fill.target.box;
  box.rank = 2;
  box.size[0] = rows_ - panel.first;
  box.size[1] = panel.width;
  box.stride[0] = kPanelColumns;
  box.stride[1] = box.index_stride[1] = 1;
  box.index_stride[0] = static_cast<uint64_t>(columns_);
  box.index_offset = static_cast<uint64_t>(panel.first) * static_cast<uint64_t>(columns_ + 1);
  fill.source = source_;
  fill.law = normal_law(dtype, 0, 1).law;
  const int64_t drawn = std::min(stretch.end, rows_ - panel.first);
  if (drawn > stretch.begin) fill_range_cpu(fill, stretch.begin * panel.width, drawn * panel.width);
  for (int64_t line = stretch.begin; line < stretch.end; ++line) {
    Real* const values = panel.vectors + line * kPanelColumns;
    const int64_t kept = line < drawn ? std::min(line + 1, panel.width) : 0;
    std::fill(values + kept, values + kPanelColumns, Real{0});
  }
  if (stretch.end == panel.rows - panel.first)
    std::fill_n(panel.vectors + stretch.end * kPanelColumns, kStripColumns<Real>, Real{0});
  active_panel_passes<Real>().add_squares(panel.vectors + stretch.begin * kPanelColumns,
                                          stretch.end - stretch.begin, sums);
}

// `sums` are those of the panel's stretches.
template <class Real>
void ReflectorPanels<Real>::make_heads(const Panel<Real>& panel, const double* sums) {
  const int64_t lines = panel.rows - panel.first;
  constexpr int64_t kStretchesBetweenLooks = 1024;
  for (int64_t i = 0; i < panel.width; ++i) {
    double square = 0;
    for (int64_t s = 0; s * kStretch < lines; ++s) {
      square += sums[s * kPanelColumns + i];
      if ((s + 1) % kStretchesBetweenLooks == 0) check_interruption();
    }
    const bool is_last_row = panel.first + i == rows_ - 1;
    const double first = panel.vectors[i * kPanelColumns + i];
    const ReflectorHead head = reflector_head(first, square, is_last_row);
    const int64_t at = panel.first + i - begin_ * kPanelColumns;
    signs_[at] = head.sign;
    factors_[at] = head.scale;
    heads_[at] = head.head;
  }
}

template class ReflectorPanels<float>;
template class ReflectorPanels<double>;

}  // namespace winit_cuda
