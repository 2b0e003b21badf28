#include "platform/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "platform/faults.h"
#include "platform/interruption.h"
#include "platform/tuning.h"

namespace winit_cuda {
namespace {

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  __asm__ volatile("yield");
#endif
}

struct Job {
  const Body& body;
  int64_t count, range;
  std::atomic<int64_t> next{0};  // where the next range begins
  std::atomic<int> places;       // for workers, who are numbered by what they leave
  std::atomic<bool> ended{false};
  std::mutex mutex;
  std::exception_ptr error;

  Job(const Body& body_, int64_t count_, int64_t range_, int workers)
      : body(body_), count(count_), range(range_), places(workers) {}

  void work(int worker) {
    const WorkingFor job(ended);
    try {
      for (bool is_first = true;; is_first = false) {
        const int64_t begin = next.fetch_add(range);
        if (begin >= count) return;
        if (!is_first) check_interruption();
        if (worker > 0 && fails(Fault::kWorkerRange))
          throw std::runtime_error("a worker fails for a test");
        body(begin, begin + std::min(range, count - begin), worker);
      }
    } catch (...) {
      end(std::current_exception());
    }
  }

  // While others are still at work.
  void listen() {
    try {
      check_interruption();
    } catch (...) {
      end(std::current_exception());
    }
  }

  void end(std::exception_ptr reason) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!error) error = std::move(reason);
    ended.store(true);
    next.store(count);
  }
};

// What record_divisions keeps; tests alone ask for it.
struct Divisions {
  std::atomic<bool> keep{false};
  std::mutex mutex;
  std::vector<Division> kept;

  void add(const Division& division) {
    if (!keep.load(std::memory_order_relaxed)) return;
    const std::lock_guard<std::mutex> lock(mutex);
    kept.push_back(division);
  }
};
Divisions divisions;

// All ranges on the calling thread.
void work_alone(int64_t count, int64_t range, const Body& body) {
  divisions.add({count, range, 1});
  for (int64_t begin = 0; begin < count; begin += std::min(range, count - begin)) {
    if (begin > 0) check_interruption();
    body(begin, begin + std::min(range, count - begin), 0);
  }
}

struct Pool {
  // By the caller whose job the pool does; it may be asked again by code that its hook calls.
  std::atomic<bool> taken{false};
  std::atomic<Job*> job{nullptr};
  std::atomic<int> inside{0};     // workers that may be looking at the job
  std::atomic<uint64_t> jobs{0};  // how many there have been
  std::mutex mutex;
  std::condition_variable new_job;
  std::atomic<int> sleeping{0};
  // These belong to whom the pool is taken by.
  int64_t workers = 0;
  std::chrono::steady_clock::time_point last_done;   // when a job for more than one ended
  std::chrono::steady_clock::time_point next_start;  // when to ask for more threads again

  // Whether to do a job of so many grains with the workers.
  bool is_worth_it(int64_t grains, Wake wake) const {
    if (wake == Wake::kYes) return true;
    const bool soon = std::chrono::steady_clock::now() - last_done <
                      std::chrono::microseconds{tuning::kSoonMicroseconds};
    const bool many = wake == Wake::kForManyGrains && grains >= tuning::kGrainsWorthWaking;
    return soon || many || sleeping.load() < workers;
  }

  // Until there has been another job than the `seen` ones.
  uint64_t wait(uint64_t seen) {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::microseconds{tuning::kLookOutMicroseconds};
    do {
      for (int i = 0; i < tuning::kPausesBetweenLooks; ++i) pause();
      if (jobs.load() != seen) return jobs.load();
    } while (std::chrono::steady_clock::now() < end);
    std::unique_lock<std::mutex> lock(mutex);
    ++sleeping;
    new_job.wait(lock, [&] { return jobs.load() != seen; });
    --sleeping;
    return jobs.load();
  }

  void attend(uint64_t seen) {
    for (;;) {
      seen = wait(seen);
      ++inside;  // before the look at the job: its owner clears it first and then waits for this
      Job* const current = job.load();
      if (current) {
        const int worker = current->places.fetch_sub(1);
        if (worker > 0) current->work(worker);
      }
      --inside;
    }
  }

  // As many as the system gives. Where it gives no more, a job goes on with those that there are.
  void start(int64_t helpers) {
    if (workers >= helpers) return;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_start) return;
    const uint64_t seen = jobs.load();
    try {
      for (; workers < helpers; ++workers) {
        if (fails(Fault::kThreadStart)) throw std::bad_alloc();
        std::thread([this, seen] { attend(seen); }).detach();
      }
    } catch (const std::exception&) {
      next_start = now + std::chrono::milliseconds{tuning::kStartAgainMilliseconds};
    }
  }

  void run(Job& new_one, int64_t helpers) {
    start(helpers);
    job.store(&new_one);
    ++jobs;
    if (sleeping.load() > 0) {
      const std::lock_guard<std::mutex> lock(mutex);
      new_job.notify_all();
    }
    new_one.work(0);
    job.store(nullptr);
    for (int looks = 0; inside.load() > 0; ++looks) {
      if (looks < 1000) {
        pause();
        continue;
      }
      std::this_thread::yield();
      new_one.listen();
    }
  }
};

// Never destroyed: workers may still wait on it while the process ends. A forked child has no
// workers, so it gets a pool of its own, in the same place: it may have no memory for another.
alignas(Pool) unsigned char place_of_pool[sizeof(Pool)];
Pool* pool = nullptr;

void make_pool() { pool = new (place_of_pool) Pool; }

Pool& the_pool() {
  static std::once_flag once;
  std::call_once(once, [] {
    make_pool();
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, make_pool);
#endif
  });
  return *pool;
}

// The pool, for as long as nobody else has it.
class Taken {
 public:
  explicit Taken(Pool& pool) : pool_(pool), ours_(!pool.taken.exchange(true)) {}
  ~Taken() {
    if (!ours_) return;
    pool_.last_done = std::chrono::steady_clock::now();
    pool_.taken.store(false);
  }
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;

  explicit operator bool() const { return ours_; }

 private:
  Pool& pool_;
  const bool ours_;
};

}  // namespace

void parallel_for(int64_t count, int64_t grain, int threads, const Body& body, Wake wake) {
  if (count <= 0) return;
  const int64_t grains = (count - 1) / grain + 1;
  const int64_t most = std::min<int64_t>(grains, threads);
  const auto range_of = [&](int64_t wanted) {
    return std::clamp<int64_t>(wanted, 1, tuning::kGrainsPerRange) * grain;
  };
  if (most <= 1) return work_alone(count, range_of(grains), body);
  Pool& shared = the_pool();
  const Taken ours(shared);
  if (!ours || !shared.is_worth_it(grains, wake)) return work_alone(count, range_of(grains), body);
  Job job(body, count, range_of(grains / (most * tuning::kRangesPerThread)),
          static_cast<int>(most - 1));
  divisions.add({count, job.range, most});
  shared.run(job, most - 1);
  if (job.error) std::rethrow_exception(job.error);
}

std::vector<Division> record_divisions(bool keep) {
  const std::lock_guard<std::mutex> lock(divisions.mutex);
  divisions.keep.store(keep);
  return std::exchange(divisions.kept, {});
}

}  // namespace winit_cuda
