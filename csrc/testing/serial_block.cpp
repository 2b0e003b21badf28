#include "testing/serial_block.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace winit_cuda {
namespace {

std::atomic<bool> starts_descending{false};

constexpr unsigned char kGarbage = 0xFF;  // NaN, and no small integer
constexpr int64_t kGuardBytes = 64;       // behind the shared memory, to see it overrun

struct Abandoned {};  // unwinds a thread whose block has failed

}  // namespace

// Hands a baton around the threads of one block after the other.
class SerialScheduler {
 public:
  SerialScheduler(const BlockGrid& grid, const std::function<void(const SerialBlock&)>& body)
      : grid_(grid),
        body_(body),
        shared_(static_cast<size_t>((grid.shared_bytes + kGuardBytes + 15) / 16)),
        wake_(static_cast<size_t>(grid.threads)) {
    begin_block();
  }

  void run() {
    std::vector<std::thread> threads;
    for (int thread = 0; thread < grid_.threads; ++thread)
      threads.emplace_back([this, thread] { run_thread(thread); });
    for (std::thread& thread : threads) thread.join();
    if (failure_) std::rethrow_exception(failure_);
  }

  const BlockGrid& grid() const { return grid_; }
  int64_t block() const { return block_; }
  char* shared() { return reinterpret_cast<char*>(shared_.data()); }

  // What a thread does at a barrier.
  void wait(int thread) {
    std::unique_lock<std::mutex> lock(mutex_);
    ++waiting_;
    hand_on();
    await_turn(thread, lock);
  }

 private:
  struct alignas(16) Unit {
    char bytes[16];
  };

  void run_thread(int thread) {
    const SerialBlock block(*this, thread);
    try {
      for (int64_t turn = 0; turn < grid_.blocks; ++turn) {
        {
          std::unique_lock<std::mutex> lock(mutex_);
          await_turn(thread, lock);
        }
        body_(block);
        const std::lock_guard<std::mutex> lock(mutex_);
        hand_on();
      }
    } catch (const Abandoned&) {
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      fail(std::current_exception());
    }
  }

  void await_turn(int thread, std::unique_lock<std::mutex>& lock) {
    wake_[static_cast<size_t>(thread)].wait(lock, [&] { return failure_ || runner() == thread; });
    if (failure_) throw Abandoned{};
  }

  // Whose turn it is; nobody's when all blocks are done.
  int runner() const {
    if (block_ == grid_.blocks) return -1;
    return descends_ ? grid_.threads - 1 - step_ : step_;
  }

  void hand_on() {
    if (++step_ == grid_.threads) end_phase();
    if (!failure_ && runner() >= 0) wake_[static_cast<size_t>(runner())].notify_one();
  }

  void end_phase() {
    if (waiting_ != 0 && waiting_ != grid_.threads) {
      fail(std::make_exception_ptr(
          std::logic_error(std::to_string(waiting_) + " of " + std::to_string(grid_.threads) +
                           " threads of a block wait at a barrier; the others have ended")));
      return;
    }
    if (waiting_ == 0) {
      if (overran()) {
        fail(std::make_exception_ptr(
            std::logic_error("a block wrote beyond the end of its shared memory")));
        return;
      }
      ++block_;
      begin_block();
    } else {
      descends_ = !descends_;
    }
    step_ = waiting_ = 0;
  }

  void begin_block() {
    descends_ = starts_descending != (block_ % 2 == 1);
    std::memset(shared_.data(), kGarbage, shared_.size() * sizeof(Unit));
  }

  bool overran() {
    const char* end = shared() + shared_.size() * sizeof(Unit);
    return std::any_of(shared() + grid_.shared_bytes, const_cast<char*>(end),
                       [](char byte) { return static_cast<unsigned char>(byte) != kGarbage; });
  }

  void fail(std::exception_ptr failure) {
    if (!failure_) failure_ = std::move(failure);
    for (std::condition_variable& each : wake_) each.notify_one();
  }

  const BlockGrid grid_;
  const std::function<void(const SerialBlock&)>& body_;
  std::vector<Unit> shared_;
  std::mutex mutex_;
  std::vector<std::condition_variable> wake_;  // a thread each
  int64_t block_ = 0;
  bool descends_ = false;
  int step_ = 0;     // threads that have had their turn in this phase
  int waiting_ = 0;  // and stopped at a barrier
  std::exception_ptr failure_;
};

int SerialBlock::threads() const { return scheduler_.grid().threads; }
int64_t SerialBlock::index() const { return scheduler_.block(); }
int64_t SerialBlock::blocks() const { return scheduler_.grid().blocks; }
void SerialBlock::sync() const { scheduler_.wait(thread_); }
char* SerialBlock::shared_bytes() const { return scheduler_.shared(); }

void launch_serial_blocks(const BlockGrid& grid,
                          const std::function<void(const SerialBlock&)>& body) {
  SerialScheduler(grid, body).run();
}

void set_serial_order(bool descending) { starts_descending = descending; }

}  // namespace winit_cuda
