// Panels of the reflectors of a key, made from its words a few at a time.
#pragma once

#include "fill/fill.h"
#include "orthogonal/passes.h"
#include "platform/memory.h"

namespace winit_cuda {

// The reflectors of the rows x columns matrix of a key, of which the first `used` are asked for.
template <class Real>
class ReflectorPanels {
 public:
  // Takes rooms for `together` panels at a time, whichever they are, or for all of them.
  ReflectorPanels(int64_t rows, int64_t columns, int64_t used, int64_t together, Rooms& rooms);

  // From here on the panels are those of this key.
  void begin(const Source& source);

  int64_t count() const { return (used_ + kPanelColumns - 1) / kPanelColumns; }

  // Makes panels [begin, end), at most `together` of them, in the place of those before.
  void make(int64_t begin, int64_t end, int threads);

  // One of those.
  const Panel<Real>& operator[](int64_t number) const { return panels_[number - begin_]; }

  // sigma_i of those.
  double sign(int64_t reflector) const { return signs_[reflector - begin_ * kPanelColumns]; }

  // Bytes that so many panels take: the first ones are the longest.
  static int64_t bytes(int64_t rows, int64_t panels);

 private:
  struct Stretch {  // lines of a panel, one thread's work
    int64_t panel, begin, end;
  };

  void draw(const Stretch& stretch, double* sums) const;
  void make_heads(const Panel<Real>& panel, const double* sums);

  Source source_{};
  int64_t rows_, columns_, used_, together_, begin_ = 0;
  Real *vectors_, *grams_;
  Panel<Real>* panels_;
  double *signs_, *factors_, *heads_;  // of the reflectors of the panels
  Stretch* stretches_;                 // of the panels, one panel's behind the other's
  double* sums_;                       // a line for each
};

}  // namespace winit_cuda
