// Stands in for the CUDA runtime: what the product's launch code calls, on a device that is
// emulated (testing/executor.h). A launch has run when it returns. Python tells it the program, by
// the functions at the end (tests/support/emulated_device.py).
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <string>

#include "testing/executor.h"

namespace winit_cuda {
namespace emulation {
namespace {

// Of one architecture, by name.
using Program = std::map<std::string, Kernel>;

// The devices there are, by their compute capability.
constexpr int kArchitectures[] = {75, 90};
constexpr int kDevices = static_cast<int>(std::size(kArchitectures));

// What all devices share, and how they run.
struct Machine {
  std::mutex mutex;  // one launch at a time
  int processors = 2, resident_blocks = 2;
  bool in_step = true;
  std::mt19937 random{1};
  Room room;
  std::map<int, Program> programs;
  DeviceMemory memory;
  std::map<const void*, std::string> functions;  // of the host's stubs
  std::map<const void*, int64_t> allowed_shared[kDevices];
  bool (*load_kernel)(int, const char*) = nullptr;
  std::string calls;  // a line each
};

Machine& machine() {
  static Machine machine;
  return machine;
}

thread_local int current_device = 0;
int architecture() { return kArchitectures[current_device]; }
int64_t most_shared(int device) { return kArchitectures[device] == 75 ? 64 * 1024 : 227 * 1024; }

struct Shape {
  dim3 grid, block;
  size_t shared_bytes;
  void* stream;
};

thread_local std::string fault;
thread_local cudaError_t last_error = cudaSuccess;
thread_local Shape pushed;

cudaError_t said(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

template <class... Parts>
void note(const Parts&... parts) {
  std::ostringstream line;
  ((line << parts << ' '), ...);
  machine().calls += line.str() + '\n';
}

// Of the current device.
const Kernel* find_kernel(const void* function) {
  Machine& m = machine();
  const auto name = m.functions.find(function);
  if (name == m.functions.end()) return nullptr;
  Program& program = m.programs[architecture()];
  auto kernel = program.find(name->second);
  if (kernel == program.end()) {
    if (!m.load_kernel || !m.load_kernel(architecture(), name->second.c_str())) return nullptr;
    kernel = program.find(name->second);
  }
  return kernel == program.end() ? nullptr : &kernel->second;
}

int64_t allowed_shared(const void* function) {
  const auto& allowed = machine().allowed_shared[current_device];
  const auto found = allowed.find(function);
  return found == allowed.end() ? 48 * 1024 : found->second;
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                   const void* stream) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  fault.clear();
  const Kernel* kernel = find_kernel(function);
  if (!kernel)
    return said(fault.empty() ? cudaErrorNoKernelImageForDevice : cudaErrorLaunchFailure);
  note("launch", kernel->name, grid.x, block.x, shared, stream);
  if (grid.x == 0 || grid.x > 0x7FFFFFFFu || grid.y != 1 || grid.z != 1 || block.x == 0 ||
      block.x > kernel->most_threads || block.y != 1 || block.z != 1)
    return said(cudaErrorInvalidConfiguration);
  const auto dynamic = static_cast<int64_t>(shared);
  if (dynamic + kernel->static_shared_bytes >
          std::max<int64_t>(allowed_shared(function), 48 * 1024) ||
      kernel->parameter_bytes > 32764)
    return said(cudaErrorInvalidValue);
  std::vector<uint64_t> parameters(static_cast<size_t>(kernel->parameter_bytes / 8 + 2));
  auto* bytes = reinterpret_cast<unsigned char*>(parameters.data());
  bytes += reinterpret_cast<uintptr_t>(bytes) % 16;
  for (size_t i = 0; i < kernel->parameters.size(); ++i)
    std::memcpy(bytes + kernel->parameters[i].offset, arguments[i],
                static_cast<size_t>(kernel->parameters[i].bytes));
  try {
    // No result may depend on the order of the threads. Where there is no race, which any order
    // shows, it depends at most on what additions find. So threads in step go forward alone.
    const bool in_every_order = kernel->reads_sums || !m.in_step;
    m.memory.begin_launch();
    Contents first;
    for (const Order order : {Order::kForward, Order::kBackward, Order::kRandom}) {
      if (order != Order::kForward) m.memory.restore();
      run(*kernel, {grid.x, block.x, dynamic}, bytes, m.memory, m.room, order, m.in_step, m.random);
      if (!in_every_order) break;
      if (order == Order::kForward)
        first = m.memory.written();
      else if (!m.memory.has(first))
        throw Fault("the order of the threads changes the result");
    }
  } catch (const Fault& broken) {
    fault = std::string(broken.what()) + " (" + kernel->name + ")";
    return said(cudaErrorLaunchFailure);
  }
  return cudaSuccess;
}

}  // namespace
}  // namespace emulation
}  // namespace winit_cuda

using namespace winit_cuda::emulation;

#define TOLD extern "C" __attribute__((visibility("default")))

extern "C" {

void** __cudaRegisterFatBinary(void*) {
  static void* handle;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  machine().functions[function] = name;
}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, void* stream) {
  pushed = {grid, block, shared_bytes, stream};
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared_bytes,
                                       void* stream) {
  *grid = pushed.grid;
  *block = pushed.block;
  *shared_bytes = pushed.shared_bytes;
  *static_cast<void**>(stream) = pushed.stream;
  return cudaSuccess;
}
// From CUDA 13 on, a stub launches the kernel that it has asked for by itself.
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared_bytes, cudaStream_t stream) {
  return launch(kernel, grid, block, arguments, shared_bytes, stream);
}
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared_bytes, cudaStream_t stream) {
  return launch(function, grid, block, arguments, shared_bytes, stream);
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}
const char* cudaGetErrorString(cudaError_t error) {
  static thread_local std::string text;
  text =
      error == cudaErrorLaunchFailure ? fault : "error " + std::to_string(static_cast<int>(error));
  return text.c_str();
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = kDevices;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* current) {
  *current = current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int wanted) {
  note("cudaSetDevice", wanted);
  if (wanted < 0 || wanted >= kDevices) return said(cudaErrorInvalidDevice);
  current_device = wanted;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr name, int device) {
  if (name == cudaDevAttrMultiProcessorCount)
    *value = machine().processors;
  else if (name == cudaDevAttrMaxSharedMemoryPerBlockOptin)
    *value = static_cast<int>(most_shared(device));
  else
    return said(cudaErrorInvalidValue);
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int,
                                                                   size_t, unsigned) {
  *blocks = machine().resident_blocks;
  return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  thread_local cudaStreamCaptureMode current = cudaStreamCaptureModeGlobal;
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  note("cudaThreadExchangeStreamCaptureMode", *mode);
  std::swap(*mode, current);
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  const Kernel* kernel = find_kernel(function);
  if (!kernel) return said(cudaErrorNoKernelImageForDevice);
  note("cudaFuncGetAttributes", kernel->name);
  *attributes = {};
  attributes->sharedSizeBytes = static_cast<size_t>(kernel->static_shared_bytes);
  attributes->maxThreadsPerBlock = static_cast<int>(kernel->most_threads);
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute name, int value) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  note("cudaFuncSetAttribute", name, value);
  const Kernel* kernel = find_kernel(function);
  if (!kernel || value + kernel->static_shared_bytes > most_shared(current_device))
    return said(cudaErrorInvalidValue);
  m.allowed_shared[current_device][function] = value + kernel->static_shared_bytes;
  return cudaSuccess;
}

}  // extern "C"

// ------------------------------------------------------------------------- for Python

TOLD void emulated_configure(int device, int processors, int resident_blocks, int in_step,
                             uint32_t seed) {
  Machine& m = machine();
  current_device = device;
  m.processors = processors;
  m.resident_blocks = resident_blocks;
  m.in_step = in_step != 0;
  m.random.seed(seed);
}
TOLD void emulated_memory(uint64_t begin, uint64_t bytes, int writable) {
  const std::lock_guard<std::mutex> lock(machine().mutex);
  machine().memory.add(begin, bytes, writable != 0);
}
TOLD void emulated_no_memory(uint64_t begin) {
  const std::lock_guard<std::mutex> lock(machine().mutex);
  machine().memory.remove(begin);
}

TOLD int emulated_operations(char* names, int room) {
  std::string all;
#define OPERATION(name, ...) all += #name " ";
#define OPERATION1 OPERATION
#define OPERATION2 OPERATION
#define OPERATION3 OPERATION
#define OPERATION4 OPERATION
#include "testing/operations.h"
  std::strncpy(names, all.c_str(), static_cast<size_t>(room));
  return static_cast<int>(all.size());
}
TOLD void emulated_loader(bool (*load_kernel)(int, const char*)) {
  machine().load_kernel = load_kernel;
}
TOLD void emulated_kernel(int architecture, const char* name, const Instruction* instructions,
                          int64_t instruction_count, const Constant* constants,
                          int64_t constant_count, const Parameter* parameters,
                          int64_t parameter_count, const int64_t* numbers, const uint32_t* places) {
  Kernel kernel;
  kernel.name = name;
  kernel.instructions.assign(instructions, instructions + instruction_count);
  kernel.constants.assign(constants, constants + constant_count);
  kernel.parameters.assign(parameters, parameters + parameter_count);
  kernel.parameter_bytes = numbers[0];
  kernel.static_shared_bytes = numbers[1];
  kernel.dynamic_shared_offset = numbers[2];
  kernel.lane_bytes = numbers[3];
  kernel.most_threads = numbers[4];
  kernel.has_barrier = numbers[5] != 0;
  kernel.reads_sums = numbers[6] != 0;
  std::copy_n(places, 4, kernel.places);
  machine().programs[architecture][name] = std::move(kernel);
}

TOLD void emulated_fault(const char* what) { fault = what; }
TOLD void emulated_forget(int architecture, const char* name) {
  machine().programs[architecture].erase(name);
}

// What the runtime was called for since the last time: launches, attributes, devices.
TOLD const char* emulated_calls() {
  static thread_local std::string calls;
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  calls.swap(m.calls);
  m.calls.clear();
  return calls.c_str();
}
