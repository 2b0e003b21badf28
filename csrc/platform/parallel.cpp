#include "platform/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

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
  const std::function<void(int64_t, int64_t)>& body;
  int64_t count, range;
  std::atomic<int64_t> next{0};  // where the next range begins
  std::atomic<int> places;       // for workers
  std::mutex mutex;
  std::exception_ptr error;

  void work() {
    for (;;) {
      const int64_t begin = next.fetch_add(range);
      if (begin >= count) return;
      try {
        body(begin, std::min(begin + range, count));
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!error) error = std::current_exception();
      }
    }
  }
};

struct Pool {
  std::mutex owner;  // held by the caller whose job the pool does
  std::atomic<Job*> job{nullptr};
  std::atomic<int> inside{0};     // workers that may be looking at the job
  std::atomic<uint64_t> jobs{0};  // how many there have been
  std::mutex mutex;
  std::condition_variable new_job;
  std::atomic<int> sleeping{0};
  int64_t workers = 0;                              // this and the next belong to the owner
  std::chrono::steady_clock::time_point last_done;  // when a job for more than one ended

  // Whether to do a job of so many grains with the workers.
  bool is_worth_it(int64_t grains) const {
    const bool soon = std::chrono::steady_clock::now() - last_done <
                      std::chrono::microseconds{tuning::kSoonMicroseconds};
    return soon || grains >= tuning::kGrainsWorthWaking || sleeping.load() < workers;
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
      if (current && current->places.fetch_sub(1) > 0) current->work();
      --inside;
    }
  }

  void run(Job& new_one, int64_t helpers) {
    const uint64_t seen = jobs.load();
    for (; workers < helpers; ++workers) std::thread([this, seen] { attend(seen); }).detach();
    job.store(&new_one);
    ++jobs;
    if (sleeping.load() > 0) {
      const std::lock_guard<std::mutex> lock(mutex);
      new_job.notify_all();
    }
    new_one.work();
    job.store(nullptr);
    for (int looks = 0; inside.load() > 0; ++looks)
      looks < 1000 ? pause() : std::this_thread::yield();
  }
};

// Never destroyed: workers may still wait on it while the process ends. A forked child has no
// workers, so it gets a pool of its own.
Pool* pool = nullptr;

Pool& the_pool() {
  static std::once_flag once;
  std::call_once(once, [] {
    pool = new Pool;
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
#endif
  });
  return *pool;
}

}  // namespace

void parallel_for(int64_t count, int64_t grain, int threads,
                  const std::function<void(int64_t, int64_t)>& body, bool wake) {
  if (count <= 0) return;
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t most = std::min<int64_t>(grains, threads);
  if (most <= 1) return body(0, count);
  Pool& shared = the_pool();
  std::unique_lock<std::mutex> ours(shared.owner, std::try_to_lock);
  if (!ours) return body(0, count);
  struct Done {
    Pool& pool;
    ~Done() { pool.last_done = std::chrono::steady_clock::now(); }
  } const done{shared};
  if (!wake && !shared.is_worth_it(grains)) return body(0, count);
  const int64_t grains_a_range = std::max<int64_t>(1, grains / (most * tuning::kRangesPerThread));
  Job job{body, count, grains_a_range * grain, {0}, {static_cast<int>(most - 1)}, {}, {}};
  shared.run(job, most - 1);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace winit_cuda
