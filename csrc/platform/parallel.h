// A small pool of worker threads for the CPU fills.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

namespace winit_cuda {

// What is done with a range: body(begin, end), or body(begin, end, worker). It refers to the
// caller's callable and owns nothing, so that it takes no memory.
class Body {
 public:
  template <class Callable>
  Body(const Callable& callable) : callable_(&callable), call_(&call<Callable>) {}

  void operator()(int64_t begin, int64_t end, int worker) const {
    call_(callable_, begin, end, worker);
  }

 private:
  template <class Callable>
  static void call(const void* callable, int64_t begin, int64_t end, int worker) {
    const Callable& body = *static_cast<const Callable*>(callable);
    if constexpr (std::is_invocable_v<const Callable&, int64_t, int64_t, int>)
      body(begin, end, worker);
    else
      body(begin, end);
  }

  const void* callable_;
  void (*call_)(const void*, int64_t, int64_t, int);
};

// Whether work is worth waking threads for: work of a hundred microseconds and more is.
enum class Wake {
  kForManyGrains,  // 16 or more
  kYes,
  kNo,
};
static inline Wake wake_if(bool worth_it) { return worth_it ? Wake::kYes : Wake::kNo; }

// Splits [0, count) into ranges that begin at multiples of `grain` and calls the body for each, on
// the calling thread and on at most threads - 1 workers; returns when all are done. Work of one
// grain or less never leaves the calling thread. Callers may overlap: one that finds the pool taken
// does all ranges itself. `worker`, at least 0 and below `threads`, is another one for each thread
// of the call: memory can be theirs by it.
//
// `wake` says whether threads that sleep are woken; those that are awake take part anyway.
//
// The ranges are handed out as threads come for them, so that a worker that wakes late, or that the
// machine takes away, holds nobody up for longer than one range. Between ranges, of which none is
// longer than tuning::kGrainsPerRange, comes check_interruption.
//
// Nothing fails by itself: no memory is taken, and where the system has no thread to give, those
// that there are do the work. What a body throws, on whichever thread, ends the others at their
// next range and is thrown again here.
void parallel_for(int64_t count, int64_t grain, int threads, const Body& body,
                  Wake wake = Wake::kForManyGrains);

// What a call divided: [0, count) into ranges of this length (the last may be shorter), for so many
// threads.
struct Division {
  int64_t count, range, threads;
};

// For tests: keep the divisions of all calls from now on, and return those kept before.
std::vector<Division> record_divisions(bool keep);

}  // namespace winit_cuda
