#include "orthogonal/reflector_panels.h"

#include <algorithm>

#include "orthogonal/reflectors.h"
#include "platform/floating_point.h"
#include "platform/parallel.h"
#include "platform/tuning.h"
#include "values/distributions.h"

namespace winit_cuda {
namespace {

// Lines that are drawn and squared at a time; part of the order of the sums.
constexpr int64_t kStretch = 256;
constexpr int64_t kGramSize = kPanelColumns * kGramColumns;

int64_t padded(int64_t rows) { return (rows + kRowUnit - 1) / kRowUnit * kRowUnit; }

// Elements of the panel that begins with reflector `first`. A product reads whole strips: the last
// line's may end behind it.
template <class Real>
int64_t panel_size(int64_t rows, int64_t first) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(Real));
  static_assert(kStripColumns<Real> % kLine == 0 && kPanelColumns % kLine == 0);
  return (padded(rows) - first) * kPanelColumns + kStripColumns<Real>;
}

// Elements of the first panels of a matrix.
template <class Real>
int64_t panels_size(int64_t rows, int64_t panels) {
  int64_t size = 0;
  for (int64_t number = 0; number < panels; ++number)
    size += panel_size<Real>(rows, number * kPanelColumns);
  return size;
}

}  // namespace

template <class Real>
ReflectorPanels<Real>::ReflectorPanels(const Source& source, int64_t rows, int64_t columns,
                                       int64_t used, int64_t together)
    : source_(source),
      rows_(rows),
      columns_(columns),
      used_(used),
      vectors_(panels_size<Real>(rows, together)),
      grams_(together * kGramSize) {
  source_.domain = Domain::kOrthogonal;
  // What lies under the diagonal or beside the last reflector is multiplied by zero.
  std::fill_n(grams_.get(), together * kGramSize, Real{0});
}

template <class Real>
int64_t ReflectorPanels<Real>::bytes(int64_t rows, int64_t panels) {
  return (panels_size<Real>(rows, panels) + panels * kGramSize) *
         static_cast<int64_t>(sizeof(Real));
}

template <class Real>
void ReflectorPanels<Real>::make(int64_t begin, int64_t end, int threads) {
  begin_ = begin;
  panels_.clear();
  std::vector<Stretch> stretches;
  std::vector<int64_t> first_stretch;
  Real* vectors = vectors_.get();
  for (int64_t number = begin; number < end; ++number) {
    const int64_t first = number * kPanelColumns;
    panels_.push_back({vectors, grams_.get() + (number - begin) * kGramSize, first,
                       std::min(kPanelColumns, used_ - first), padded(rows_)});
    vectors += panel_size<Real>(rows_, first);
    first_stretch.push_back(static_cast<int64_t>(stretches.size()));
    for (int64_t line = 0; line < padded(rows_) - first; line += kStretch)
      stretches.push_back({number, line, std::min(line + kStretch, padded(rows_) - first)});
  }
  signs_.assign(static_cast<size_t>((end - begin) * kPanelColumns), 0.0);
  factors_.assign(signs_.size(), 0.0);
  heads_.assign(signs_.size(), 0.0);
  const int64_t count = static_cast<int64_t>(stretches.size());
  std::vector<double> sums(static_cast<size_t>(count * kPanelColumns), 0.0);
  const auto for_stretches = [&](const auto& body) {
    parallel_for(
        count, std::clamp<int64_t>(count / (8 * threads), 1, tuning::kStretchesTogether), threads,
        [&](int64_t from, int64_t to) {
          const DefaultFloatingPoint environment;
          for (int64_t i = from; i < to; ++i) body(i, stretches[static_cast<size_t>(i)]);
        },
        count >= tuning::kStretchesWorthWaking);
  };
  const PanelPasses<Real>& passes = active_panel_passes<Real>();
  for_stretches(
      [&](int64_t i, const Stretch& stretch) { draw(stretch, sums.data() + i * kPanelColumns); });
  for (int64_t number = begin; number < end; ++number)
    make_heads((*this)[number], sums, first_stretch[static_cast<size_t>(number - begin)]);
  for_stretches([&](int64_t, const Stretch& stretch) {
    const Panel<Real>& panel = (*this)[stretch.panel];
    passes.scale(panel.vectors + stretch.begin * kPanelColumns, stretch.end - stretch.begin,
                 factors_.data() + (stretch.panel - begin_) * kPanelColumns);
  });
  for (const Panel<Real>& panel : panels_)  // the factors do not know the new first elements
    for (int64_t i = 0; i < panel.width; ++i) {
      const size_t at = static_cast<size_t>(panel.first + i - begin_ * kPanelColumns);
      panel.vectors[i * kPanelColumns + i] = static_cast<Real>(heads_[at]);
    }
  constexpr int64_t kStrips = kGramColumns / kStripColumns<Real>;
  parallel_for((end - begin) * kStrips, 1, threads, [&](int64_t from, int64_t to) {
    const DefaultFloatingPoint environment;
    for (int64_t i = from; i < to; ++i) {
      const Panel<Real>& panel = panels_[static_cast<size_t>(i / kStrips)];
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

template <class Real>
void ReflectorPanels<Real>::make_heads(const Panel<Real>& panel, const std::vector<double>& sums,
                                       int64_t first_sums) {
  const int64_t lines = panel.rows - panel.first;
  for (int64_t i = 0; i < panel.width; ++i) {
    double square = 0;
    for (int64_t s = 0; s * kStretch < lines; ++s)
      square += sums[static_cast<size_t>((first_sums + s) * kPanelColumns + i)];
    const bool is_last_row = panel.first + i == rows_ - 1;
    const double first = panel.vectors[i * kPanelColumns + i];
    const ReflectorHead head = reflector_head(first, square, is_last_row);
    const size_t at = static_cast<size_t>(panel.first + i - begin_ * kPanelColumns);
    signs_[at] = head.sign;
    factors_[at] = head.scale;
    heads_[at] = head.head;
  }
}

template class ReflectorPanels<float>;
template class ReflectorPanels<double>;

}  // namespace winit_cuda
