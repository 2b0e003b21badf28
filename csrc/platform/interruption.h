// How long work ends early: at Ctrl-C, or because another thread's part of it has failed.
#pragma once

#include <atomic>
#include <chrono>

namespace winit_cuda {

// While there is one, the thread that made it listens: between pieces of its work, at most every
// tuning::kListenMilliseconds, it calls the hook, which throws what ends the work. The hook may run
// any code, this core's, too.
class Listening {
 public:
  using Hook = void (*)();

  explicit Listening(Hook hook);
  ~Listening();
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

  void listen();

 private:
  Hook hook_;
  std::chrono::steady_clock::time_point next_{};
  Listening* before_;
  const std::atomic<bool>* ended_before_;
};

// While there is one, the thread works for a job, which ends early where `ended` says so.
class WorkingFor {
 public:
  explicit WorkingFor(const std::atomic<bool>& ended);
  ~WorkingFor();
  WorkingFor(const WorkingFor&) = delete;
  WorkingFor& operator=(const WorkingFor&) = delete;

 private:
  const std::atomic<bool>* before_;
};

// Called by whatever takes long, several times in kListenMilliseconds. Throws where the work is to
// end. It costs as much as a look at the clock.
void check_interruption();

}  // namespace winit_cuda
