#include <algorithm>

#include "orthogonal/orthogonal.h"
#include "orthogonal/reflector_panels.h"
#include "orthogonal/rounding.h"
#include "orthogonal/write.h"
#include "platform/floating_point.h"
#include "platform/interruption.h"
#include "platform/parallel.h"
#include "platform/tuning.h"

namespace winit_cuda {
namespace {

// How a part of Q comes about. By columns, strips hold columns of Q: they begin as those of the
// identity and meet the reflectors from the last to the first. By rows, they hold columns of Q^T,
// and meet them from the first to the last. What they hold, the vectors, are the lines that are
// asked for, numbered one range after the other.
struct Plan {
  int64_t rows, columns;  // of Q
  bool turned, by_columns;
  int64_t vectors;  // columns of Q, or rows
  int64_t used;     // reflectors that change them
  int64_t lines;    // of a strip
  int64_t panels;
  int64_t panels_together, strips_together;
  int64_t workers;  // that have strips of their own
  const LineRange* ranges;

  bool has_all_panels() const { return panels_together == panels; }
  template <class Real>
  int64_t unit() const {  // vectors
    return strips_together * kStripColumns<Real>;
  }
  template <class Real>
  int64_t units() const {
    return (vectors - 1) / unit<Real>() + 1;
  }
  // The column or row of Q that is a vector, and the other way round.
  int64_t line_of(int64_t vector) const {
    const LineRange* range = ranges;
    for (; vector >= range->count; ++range) vector -= range->count;
    return range->first + vector;
  }
  int64_t vector_of(int64_t line) const {
    int64_t before = 0;
    const LineRange* range = ranges;
    for (; line >= range->first + range->count; ++range) before += range->count;
    return before + line - range->first;
  }
};

template <class Real>
Plan make_plan(const OrthogonalLines& lines, int threads) {
  const UprightPart part = upright(*lines.fills);
  const bool by_columns = lines.are_columns != part.turned;
  Plan plan{part.rows, part.columns, part.turned, by_columns, 0, 0, 0, 0, 0, 0, 0, lines.ranges};
  for (int64_t i = 0; i < lines.range_count; ++i) plan.vectors += lines.ranges[i].count;
  for (int64_t i = 0; i < lines.fill_count; ++i) {
    const UprightPart each = upright(lines.fills[i]);
    plan.used = std::max(plan.used, each.first_column + each.column_count);
  }
  plan.lines = rounded_up(part.rows, kRowUnit);
  plan.panels = rounded_up(plan.used, kPanelColumns) / kPanelColumns;
  const int64_t strips = rounded_up(plan.vectors, kStripColumns<Real>) / kStripColumns<Real>;
  const int64_t tensor =
      times(times(plan.vectors, part.rows), item_size(lines.fills->target.dtype));
  const int64_t budget =
      std::max(times(tensor, tuning::kWorkspacePerTensor), tuning::kLeastWorkspaceBytes);
  const int64_t strip_bytes = times(plan.lines, kStripBytes);
  const auto panel_bytes = [&](int64_t panels) {
    return ReflectorPanels<Real>::bytes(part.rows, panels);
  };
  plan.panels_together = plan.panels;
  plan.strips_together =
      std::clamp<int64_t>(strips / (tuning::kUnitsPerThread * threads), 1, tuning::kStripsPerUnit);
  plan.workers = std::min<int64_t>(threads, plan.units<Real>());
  const int64_t all_strips = times(threads * plan.strips_together, strip_bytes);
  if (plus(panel_bytes(plan.panels), all_strips) <= budget) return plan;
  plan.workers = 1;
  plan.panels_together = std::min(plan.panels, tuning::kPanelsTogether);
  while (plan.panels_together > 1 && panel_bytes(plan.panels_together) > budget / 3)
    --plan.panels_together;
  const int64_t left = budget - panel_bytes(plan.panels_together);
  const int64_t fitting = std::clamp<int64_t>(left / strip_bytes, 1, strips);
  const int64_t passes = (strips - 1) / fitting + 1;
  plan.strips_together = (strips - 1) / passes + 1;
  return plan;
}

// Strips side by side in memory, vectors [first, first + count) of the plan.
template <class Real>
class Strips {
 public:
  static constexpr int64_t kColumns = kStripColumns<Real>;

  Strips(const Plan& plan, Rooms& rooms)
      : plan_(plan),
        elements_(rooms.get<Real>(times(plan.strips_together, times(plan.lines, kColumns)))),
        strips_(rooms.get<Real*>(plan.strips_together)),
        nonzero_(rooms.get<RowRange>(plan.strips_together)) {}

  static int64_t bytes(const Plan& plan) {
    Rooms rooms;
    Strips(plan, rooms);
    return rooms.bytes();
  }

  // Columns of the identity.
  void begin(int64_t first, int64_t count, int threads) {
    first_ = first;
    count_ = count;
    parallel_for(size(), 1, threads, [&](int64_t from, int64_t to) {
      for (int64_t s = from; s < to; ++s) {
        strips_[s] = elements_ + s * plan_.lines * kColumns;
        clear(strips_[s]);
        const int64_t held = std::min(kColumns, count - s * kColumns);
        for (int64_t i = 0; i < held; ++i) {
          const int64_t row = plan_.line_of(first + s * kColumns + i);
          strips_[s][row * kColumns + i] = 1;
          nonzero_[s] = {i > 0 ? nonzero_[s].begin : row, row + 1};
        }
      }
    });
  }

  void apply(const ReflectorPanels<Real>& panels, int64_t begin, int64_t end, int threads) {
    parallel_for(size(), 1, threads, [&](int64_t from, int64_t to) {
      const DefaultFloatingPoint environment;
      const PanelPasses<Real>& passes = active_panel_passes<Real>();
      Real* const* strips = strips_ + from;
      RowRange* nonzero = nonzero_ + from;
      if (plan_.by_columns)
        for (int64_t number = end - 1; number >= begin; --number)
          passes.apply(panels[number], Order::kLastToFirst, strips, nonzero, to - from);
      else
        for (int64_t number = begin; number < end; ++number)
          passes.apply(panels[number], Order::kFirstToLast, strips, nonzero, to - from);
    });
  }

  // The entry in a line of vector `number` of them; those behind it in its strip are next to it.
  const Real* entry(int64_t number, int64_t line) const {
    return strips_[number / kColumns] + line * kColumns + number % kColumns;
  }

  int64_t first() const { return first_; }
  int64_t count() const { return count_; }

 private:
  // Pages that are new take long.
  void clear(Real* strip) const {
    constexpr int64_t kLinesTogether = int64_t{1} << 16;
    for (int64_t line = 0; line < plan_.lines; line += kLinesTogether) {
      if (line > 0) check_interruption();
      std::fill_n(strip + line * kColumns, std::min(kLinesTogether, plan_.lines - line) * kColumns,
                  Real{0});
    }
  }

  int64_t size() const { return (count_ + kColumns - 1) / kColumns; }

  const Plan& plan_;
  Real* elements_;
  Real** strips_;
  RowRange* nonzero_;
  int64_t first_ = 0, count_ = 0;
};

// Writes what strips hold of one part. Vectors are columns of the target's part, or rows where Q is
// turned or made by rows.
template <class Real>
class Writer {
 public:
  Writer(const OrthogonalFill& fill, const Plan& plan, const Strips<Real>& strips,
         const Real* factors)
      : fill_(fill), plan_(plan), strips_(strips) {
    const UprightPart part = upright(fill);
    first_line_ = plan.by_columns ? part.first_row : part.first_column;
    lines_ = plan.by_columns ? part.row_count : part.column_count;
    const int64_t count = plan.by_columns ? part.column_count : part.row_count;
    const int64_t first = plan.by_columns ? part.first_column : part.first_row;
    first_vector_ = plan.vector_of(first) - strips.first();
    from_ = std::max<int64_t>(0, first_vector_);
    to_ = std::min(strips.count(), first_vector_ + count);
    // The first factor of the vectors, or of the lines: gain * sigma of a column of Q.
    own_factors_ = factors + part.first_column;
  }

  void write(int threads) const {
    if (from_ >= to_) return;
    with_element(fill_.target.dtype, [&](auto element) {
      using T = typename decltype(element)::type;
      const bool are_columns = plan_.by_columns != plan_.turned;
      parallel_for(lines_, kLines, threads, [&](int64_t from, int64_t to) {
        const DefaultFloatingPoint environment;
        for (int64_t line = from; line < to; line += kLines) {
          const int64_t count = std::min(kLines, to - line);
          if (line > from) check_interruption();
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
    constexpr int64_t kTogether = 32 * kColumns;
    T values[kTogether];
    for (int64_t i = line; i < line + count; ++i)
      for (int64_t begin = from_; begin < to_; begin += kTogether) {
        const int64_t together = std::min(kTogether, to_ - begin);
        for (int64_t first = 0, width; first < together; first += width) {
          width = in_strip(begin + first, begin + together);
          const Real* const entries = strips_.entry(begin + first, first_line_ + i);
          for (int64_t j = 0; j < width; ++j)
            values[first + j] = round_entry<T>(entries[j] * factor(begin + first + j, i));
        }
        store_elements(fill_.target, element(i, begin - first_vector_), together, values);
      }
  }

  // Lines of the strips are columns of the part: they are turned a strip at a time.
  template <class T>
  void write_columns(int64_t line, int64_t count) const {
    T turned[kColumns][kLines];
    for (int64_t first = from_, width; first < to_; first += width) {
      width = in_strip(first, to_);
      for (int64_t i = 0; i < count; ++i) {
        const Real* const entries = strips_.entry(first, first_line_ + line + i);
        for (int64_t j = 0; j < width; ++j)
          turned[j][i] = round_entry<T>(entries[j] * factor(first + j, line + i));
      }
      for (int64_t j = 0; j < width; ++j)
        store_elements(fill_.target, element(first + j - first_vector_, line), count, turned[j]);
    }
  }

  // Vectors of one strip, of those from `first` to before `end`.
  static int64_t in_strip(int64_t first, int64_t end) {
    return std::min(kColumns - first % kColumns, end - first);
  }

  int64_t element(int64_t row, int64_t column) const {
    return fill_.first_element + row * fill_.column_count + column;
  }

  // Of the column of Q that a vector and a line meet in.
  Real factor(int64_t vector, int64_t line) const {
    return own_factors_[plan_.by_columns ? vector - first_vector_ : line];
  }

  const OrthogonalFill& fill_;
  const Plan& plan_;
  const Strips<Real>& strips_;
  const Real* own_factors_;
  int64_t first_line_, lines_;
  int64_t first_vector_;  // of the part, among those of the strips; maybe before them
  int64_t from_, to_;     // the vectors that both have
};

// The panels, and the factor of each column they have been made for.
template <class Real>
class Factors {
 public:
  Factors(const Plan& plan, Rooms& rooms)
      : used_(plan.used),
        panels_(plan.rows, plan.columns, plan.used, plan.panels_together, rooms),
        factors_(rooms.get<Real>(plan.used)) {}

  void begin(double gain, const StreamKey& key) {
    gain_ = gain;
    panels_.begin({key, nullptr, Domain::kElement});
  }

  void make(int64_t begin, int64_t end, int threads) {
    panels_.make(begin, end, threads);
    const int64_t last = std::min(used_, end * kPanelColumns);
    for (int64_t i = begin * kPanelColumns; i < last; ++i)
      factors_[i] = static_cast<Real>(gain_ * panels_.sign(i));
  }

  const ReflectorPanels<Real>& panels() const { return panels_; }
  const Real* factors() const { return factors_; }

 private:
  double gain_ = 0;
  int64_t used_;
  ReflectorPanels<Real> panels_;
  Real* factors_;
};

// Parts of a matrix, and the rooms they are made in.
template <class Real>
class BlockedParts {
 public:
  BlockedParts(const OrthogonalLines& lines, int threads, Rooms& rooms)
      : lines_(lines),
        plan_(make_plan<Real>(lines, threads)),
        made_(plan_, rooms),
        bytes_of_strips_(Strips<Real>::bytes(plan_)),
        strips_(rooms.get<unsigned char>(times(plan_.workers, bytes_of_strips_))) {}

  void write(const StreamKey& key, int threads) {
    made_.begin(lines_.fills->gain, key);
    plan_.has_all_panels() ? write_by_units(threads) : write_by_panels(threads);
  }

 private:
  Strips<Real> strips_of(int64_t worker) const {
    Rooms rooms(strips_ + worker * bytes_of_strips_);
    return Strips<Real>(plan_, rooms);
  }

  // All panels have room: each thread takes units of strips from beginning to end.
  void write_by_units(int threads) {
    made_.make(0, plan_.panels, threads);
    const int64_t unit = plan_.unit<Real>();
    const int64_t units = plan_.units<Real>();
    const auto work = [&](int64_t begin, int64_t end, int worker) {
      Strips<Real> strips = strips_of(worker);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t number = units - 1 - i;  // the last columns meet the most reflectors
        strips.begin(number * unit, std::min(unit, plan_.vectors - number * unit), 1);
        strips.apply(made_.panels(), 0, plan_.panels, 1);
        store(strips, 1);
      }
    };
    const double products = static_cast<double>(plan_.vectors) * static_cast<double>(plan_.used) *
                            static_cast<double>(plan_.lines);
    parallel_for(units, 1, plan_.workers, work,
                 wake_if(products >= tuning::kMultiplicationsWorthWaking));
  }

  // Not all panels have room at once: as many strips as do wait for them, and all threads work on
  // the strips.
  void write_by_panels(int threads) {
    Strips<Real> strips = strips_of(0);
    const int64_t together = plan_.unit<Real>();
    for (int64_t first = 0; first < plan_.vectors; first += together) {
      strips.begin(first, std::min(together, plan_.vectors - first), threads);
      for (int64_t done = 0; done < plan_.panels; done += plan_.panels_together) {
        const int64_t count = std::min(plan_.panels_together, plan_.panels - done);
        const int64_t begin = plan_.by_columns ? plan_.panels - done - count : done;
        made_.make(begin, begin + count, threads);
        strips.apply(made_.panels(), begin, begin + count, threads);
      }
      store(strips, threads);
    }
  }

  // To each part what it has of the strips.
  void store(const Strips<Real>& strips, int threads) const {
    for (int64_t i = 0; i < lines_.fill_count; ++i)
      Writer<Real>(lines_.fills[i], plan_, strips, made_.factors()).write(threads);
  }

  const OrthogonalLines& lines_;
  const Plan plan_;
  Factors<Real> made_;
  int64_t bytes_of_strips_;
  unsigned char* strips_;
};

// Calls visit with the parts, made in the rooms.
template <class Visit>
void with_parts(const OrthogonalLines& lines, int threads, Rooms& rooms, const Visit& visit) {
  if (lines.fills->target.dtype == DType::kFloat64)
    visit(BlockedParts<double>(lines, threads, rooms));
  else
    visit(BlockedParts<float>(lines, threads, rooms));
}

}  // namespace

int64_t orthogonal_blocked_bytes(const OrthogonalLines& lines, int threads) {
  Rooms rooms;
  with_parts(lines, threads, rooms, [](auto&&) {});
  return rooms.bytes();
}

void orthogonal_blocked_cpu(const OrthogonalLines& lines, const StreamKey& key, int threads,
                            void* memory) {
  Rooms rooms(memory);
  with_parts(lines, threads, rooms, [&](auto&& parts) { parts.write(key, threads); });
}

}  // namespace winit_cuda
