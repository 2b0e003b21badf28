#include "platform/interruption.h"

#include "platform/tuning.h"

namespace winit_cuda {
namespace {

thread_local Listening* listening = nullptr;
thread_local const std::atomic<bool>* ended = nullptr;

// The job has the reason.
struct Ended {};

}  // namespace

Listening::Listening(Hook hook) : hook_(hook), before_(listening), ended_before_(ended) {
  listening = this;
  ended = nullptr;  // called by a hook, in the middle of other work
}

Listening::~Listening() {
  listening = before_;
  ended = ended_before_;
}

void Listening::listen() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  const bool is_first = next_ == std::chrono::steady_clock::time_point{};
  next_ = now + std::chrono::milliseconds{tuning::kListenMilliseconds};
  if (!is_first) hook_();
}

WorkingFor::WorkingFor(const std::atomic<bool>& job) : before_(ended) { ended = &job; }

WorkingFor::~WorkingFor() { ended = before_; }

void check_interruption() {
  if (ended && ended->load(std::memory_order_relaxed)) throw Ended{};
  if (listening) listening->listen();
}

}  // namespace winit_cuda
