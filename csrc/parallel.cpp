#include "parallel.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace winit_cuda {
namespace {

struct Pool {
  std::mutex owner;  // held by the caller whose work the pool does
  std::mutex mutex;
  std::condition_variable work_ready, work_done;
  std::vector<std::thread> workers;
  const std::function<void(int64_t)>* task = nullptr;
  int64_t next = 0, total = 0, unfinished = 0;
  uint64_t round = 0;
  std::exception_ptr error;

  void take_tasks(std::unique_lock<std::mutex>& lock) {
    while (next < total) {
      const int64_t mine = next++;
      const auto* run = task;
      lock.unlock();
      std::exception_ptr failure;
      try {
        (*run)(mine);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure && !error) error = failure;
      if (--unfinished == 0) work_done.notify_all();
    }
  }

  void work() {
    std::unique_lock<std::mutex> lock(mutex);
    for (uint64_t seen = 0;;) {
      work_ready.wait(lock, [&] { return round != seen; });
      seen = round;
      take_tasks(lock);
    }
  }

  void run(int64_t tasks, const std::function<void(int64_t)>& body) {
    std::unique_lock<std::mutex> lock(mutex);
    while (static_cast<int64_t>(workers.size()) < tasks - 1)
      workers.emplace_back([this] { work(); });
    task = &body;
    next = 0;
    total = unfinished = tasks;
    error = nullptr;
    ++round;
    work_ready.notify_all();
    take_tasks(lock);
    work_done.wait(lock, [&] { return unfinished == 0; });
    total = 0;
    if (error) std::rethrow_exception(error);
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
                  const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t tasks = std::min<int64_t>(grains, threads);
  if (tasks <= 1) return body(0, count);
  const std::function<void(int64_t)> one = [&](int64_t i) {
    const int64_t begin = grains * i / tasks * grain;
    const int64_t end = std::min(count, grains * (i + 1) / tasks * grain);
    if (begin < end) body(begin, end);
  };
  Pool& shared = the_pool();
  std::unique_lock<std::mutex> ours(shared.owner, std::try_to_lock);
  if (!ours) return body(0, count);
  shared.run(tasks, one);
}

}  // namespace winit_cuda
