#include <algorithm>
#include <atomic>
#include <vector>

#include "orthogonal/orthogonal.h"
#include "orthogonal/reflector_panels.h"
#include "orthogonal/write.h"
#include "platform/floating_point.h"
#include "platform/parallel.h"
#include "platform/tuning.h"

namespace winit_cuda {
namespace {

// How a part of Q comes about. By columns, strips hold columns of Q: they begin as those of the
// identity and meet the reflectors from the last to the first. By rows, they hold columns of Q^T,
// and meet them from the first to the last.
struct Plan {
  UprightPart part;
  bool by_columns;
  int64_t vectors;  // columns of Q, or rows
  int64_t used;     // reflectors that change them
  int64_t lines;    // of a strip
  int64_t panels;
  int64_t panels_together, strips_together;
};

template <class Real>
Plan make_plan(const OrthogonalFill& fill, int threads) {
  Plan plan{upright(fill), true, 0, 0, 0, 0, 0, 0};
  const UprightPart& part = plan.part;
  plan.by_columns = part.column_count <= part.row_count;
  plan.vectors = plan.by_columns ? part.column_count : part.row_count;
  plan.used = part.first_column + part.column_count;
  plan.lines = (part.rows + kRowUnit - 1) / kRowUnit * kRowUnit;
  plan.panels = (plan.used + kPanelColumns - 1) / kPanelColumns;
  const int64_t strips = (plan.vectors + kStripColumns<Real> - 1) / kStripColumns<Real>;
  const int64_t tensor = plan.vectors * part.rows * item_size(fill.target.dtype);
  const int64_t budget =
      std::max(tuning::kWorkspacePerTensor * tensor, tuning::kLeastWorkspaceBytes);
  const int64_t strip_bytes = plan.lines * kStripBytes;
  const auto panel_bytes = [&](int64_t panels) {
    return ReflectorPanels<Real>::bytes(part.rows, panels);
  };
  plan.panels_together = plan.panels;
  plan.strips_together =
      std::clamp<int64_t>(strips / (tuning::kUnitsPerThread * threads), 1, tuning::kStripsPerUnit);
  if (panel_bytes(plan.panels) + threads * plan.strips_together * strip_bytes <= budget)
    return plan;
  plan.panels_together = std::min(plan.panels, tuning::kPanelsTogether);
  while (plan.panels_together > 1 && panel_bytes(plan.panels_together) > budget / 3)
    --plan.panels_together;
  const int64_t left = budget - panel_bytes(plan.panels_together);
  const int64_t fitting = std::clamp<int64_t>(left / strip_bytes, 1, strips);
  const int64_t passes = (strips + fitting - 1) / fitting;
  plan.strips_together = (strips + passes - 1) / passes;
  return plan;
}

// Strips side by side in memory, vectors [first, first + count) of the plan.
template <class Real>
class Strips {
 public:
  static constexpr int64_t kColumns = kStripColumns<Real>;

  explicit Strips(const Plan& plan)
      : plan_(plan),
        room_(plan.strips_together * plan.lines * kColumns),
        nonzero_(static_cast<size_t>(plan.strips_together)) {
    for (int64_t s = 0; s < plan.strips_together; ++s)
      strips_.push_back(room_.get() + s * plan.lines * kColumns);
  }

  // Columns of the identity.
  void begin(int64_t first, int64_t count, int threads) {
    first_ = first;
    count_ = count;
    parallel_for(size(), 1, threads, [&](int64_t from, int64_t to) {
      std::fill(strips_[static_cast<size_t>(from)],
                strips_[static_cast<size_t>(from)] + (to - from) * plan_.lines * kColumns, Real{0});
      for (int64_t s = from; s < to; ++s) {
        const int64_t row = offset() + first + s * kColumns;
        const int64_t held = std::min(kColumns, count - s * kColumns);
        for (int64_t i = 0; i < held; ++i)
          strips_[static_cast<size_t>(s)][(row + i) * kColumns + i] = 1;
        nonzero_[static_cast<size_t>(s)] = {row, row + held};
      }
    });
  }

  void apply(const ReflectorPanels<Real>& panels, int64_t begin, int64_t end, int threads) {
    parallel_for(size(), 1, threads, [&](int64_t from, int64_t to) {
      const DefaultFloatingPoint environment;
      const PanelPasses<Real>& passes = active_panel_passes<Real>();
      Real* const* strips = strips_.data() + from;
      RowRange* nonzero = nonzero_.data() + from;
      if (plan_.by_columns)
        for (int64_t number = end - 1; number >= begin; --number)
          passes.apply(panels[number], Order::kLastToFirst, strips, nonzero, to - from);
      else
        for (int64_t number = begin; number < end; ++number)
          passes.apply(panels[number], Order::kFirstToLast, strips, nonzero, to - from);
    });
  }

  // A line of the strip whose first vector is `number`, a multiple of kColumns.
  const Real* line(int64_t number, int64_t line) const {
    return strips_[static_cast<size_t>(number / kColumns)] + line * kColumns;
  }

  int64_t first() const { return first_; }
  int64_t count() const { return count_; }

 private:
  int64_t size() const { return (count_ + kColumns - 1) / kColumns; }
  int64_t offset() const {
    return plan_.by_columns ? plan_.part.first_column : plan_.part.first_row;
  }

  const Plan& plan_;
  Room<Real> room_;
  std::vector<Real*> strips_;
  std::vector<RowRange> nonzero_;
  int64_t first_ = 0, count_ = 0;
};

// Vectors are columns of the target's part, or rows where Q is turned or made by rows.
template <class Real>
class Writer {
 public:
  Writer(const OrthogonalFill& fill, const Plan& plan, const Strips<Real>& strips,
         const std::vector<Real>& factors)
      : fill_(fill), plan_(plan), strips_(strips), factors_(factors) {}

  void write(int threads) const {
    with_element(fill_.target.dtype, [&](auto element) {
      using T = typename decltype(element)::type;
      const bool are_columns = plan_.by_columns != plan_.part.turned;
      const int64_t lines = plan_.by_columns ? plan_.part.row_count : plan_.part.column_count;
      parallel_for(lines, kLines, threads, [&](int64_t from, int64_t to) {
        const DefaultFloatingPoint environment;
        for (int64_t line = from; line < to; line += kLines) {
          const int64_t count = std::min(kLines, to - line);
          are_columns ? write_rows<T>(line, count) : write_columns<T>(line, count);
        }
      });
    });
  }

 private:
  static constexpr int64_t kLines = 64, kColumns = kStripColumns<Real>;

  // Lines of the strips are rows of the part.
  template <class T>
  void write_rows(int64_t line, int64_t count) const {
    const Rounded<T> rounded(fill_.target.dtype);
    std::vector<T> values(static_cast<size_t>(strips_.count()));
    for (int64_t i = line; i < line + count; ++i) {
      for (int64_t first = 0; first < strips_.count(); first += kColumns) {
        const int64_t width = std::min(kColumns, strips_.count() - first);
        const Real* const entries = strips_.line(first, line_offset() + i);
        for (int64_t j = 0; j < width; ++j)
          values[static_cast<size_t>(first + j)] = rounded(entries[j] * factor(first + j, i));
      }
      store_elements(fill_.target, element(i, strips_.first()), strips_.count(), values.data());
    }
  }

  // Lines of the strips are columns of the part: they are turned a strip at a time.
  template <class T>
  void write_columns(int64_t line, int64_t count) const {
    const Rounded<T> rounded(fill_.target.dtype);
    T turned[kColumns][kLines];
    for (int64_t first = 0; first < strips_.count(); first += kColumns) {
      const int64_t width = std::min(kColumns, strips_.count() - first);
      for (int64_t i = 0; i < count; ++i) {
        const Real* const entries = strips_.line(first, line_offset() + line + i);
        for (int64_t j = 0; j < width; ++j)
          turned[j][i] = rounded(entries[j] * factor(first + j, line + i));
      }
      for (int64_t j = 0; j < width; ++j)
        store_elements(fill_.target, element(strips_.first() + first + j, line), count, turned[j]);
    }
  }

  int64_t element(int64_t row, int64_t column) const {
    return fill_.first_element + row * fill_.column_count + column;
  }

  int64_t line_offset() const {
    return plan_.by_columns ? plan_.part.first_row : plan_.part.first_column;
  }

  // gain * sigma of the column of Q that a vector and a line meet in.
  Real factor(int64_t vector, int64_t line) const {
    const int64_t column = plan_.by_columns ? strips_.first() + vector : line;
    return factors_[static_cast<size_t>(plan_.part.first_column + column)];
  }

  const OrthogonalFill& fill_;
  const Plan& plan_;
  const Strips<Real>& strips_;
  const std::vector<Real>& factors_;
};

// The panels, and the factor of each column they have been made for.
template <class Real>
class Factors {
 public:
  Factors(const OrthogonalFill& fill, const Plan& plan)
      : gain_(fill.gain),
        panels_(fill.source, plan.part.rows, plan.part.columns, plan.used, plan.panels_together),
        factors_(static_cast<size_t>(plan.used)) {}

  void make(int64_t begin, int64_t end, int threads) {
    panels_.make(begin, end, threads);
    const int64_t last = std::min(static_cast<int64_t>(factors_.size()), end * kPanelColumns);
    for (int64_t i = begin * kPanelColumns; i < last; ++i)
      factors_[static_cast<size_t>(i)] = static_cast<Real>(gain_ * panels_.sign(i));
  }

  const ReflectorPanels<Real>& panels() const { return panels_; }
  const std::vector<Real>& factors() const { return factors_; }

 private:
  double gain_;
  ReflectorPanels<Real> panels_;
  std::vector<Real> factors_;
};

// All panels have room: each thread takes units of strips from beginning to end.
template <class Real>
void make_by_units(const OrthogonalFill& fill, const Plan& plan, int threads) {
  Factors<Real> made(fill, plan);
  made.make(0, plan.panels, threads);
  const int64_t unit = plan.strips_together * kStripColumns<Real>;
  // The last columns meet the most reflectors: they come first.
  std::atomic<int64_t> left{(plan.vectors + unit - 1) / unit};
  const int64_t workers = std::min<int64_t>(threads, left);
  const auto work = [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end && left > 0; ++worker) {
      Strips<Real> strips(plan);
      const Writer<Real> writer(fill, plan, strips, made.factors());
      for (int64_t number = --left; number >= 0; number = --left) {
        strips.begin(number * unit, std::min(unit, plan.vectors - number * unit), 1);
        strips.apply(made.panels(), 0, plan.panels, 1);
        writer.write(1);
      }
    }
  };
  const double products = static_cast<double>(plan.vectors) * static_cast<double>(plan.used) *
                          static_cast<double>(plan.lines);
  parallel_for(workers, 1, threads, work, products >= tuning::kMultiplicationsWorthWaking);
}

// Not all panels have room at once: as many strips as do wait for them, and all threads work on
// the strips.
template <class Real>
void make_by_panels(const OrthogonalFill& fill, const Plan& plan, int threads) {
  Factors<Real> made(fill, plan);
  Strips<Real> strips(plan);
  const int64_t together = plan.strips_together * kStripColumns<Real>;
  for (int64_t first = 0; first < plan.vectors; first += together) {
    strips.begin(first, std::min(together, plan.vectors - first), threads);
    for (int64_t done = 0; done < plan.panels; done += plan.panels_together) {
      const int64_t count = std::min(plan.panels_together, plan.panels - done);
      const int64_t begin = plan.by_columns ? plan.panels - done - count : done;
      made.make(begin, begin + count, threads);
      strips.apply(made.panels(), begin, begin + count, threads);
    }
    Writer<Real>(fill, plan, strips, made.factors()).write(threads);
  }
}

template <class Real>
void make_part(const OrthogonalFill& fill, int threads) {
  const Plan plan = make_plan<Real>(fill, threads);
  if (plan.panels_together == plan.panels)
    make_by_units<Real>(fill, plan, threads);
  else
    make_by_panels<Real>(fill, plan, threads);
}

}  // namespace

void orthogonal_blocked_cpu(const OrthogonalFill& fill, int threads) {
  if (fill.target.dtype == DType::kFloat64)
    make_part<double>(fill, threads);
  else
    make_part<float>(fill, threads);
}

}  // namespace winit_cuda
