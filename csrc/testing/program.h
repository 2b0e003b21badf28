// PTX as the emulated device runs it. tests/support/ptx.py reads the text that nvcc wrote and makes
// these.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace winit_cuda {
namespace emulation {

enum class Operation : uint16_t {
#define OPERATION(name, ...) name,
#define OPERATION1 OPERATION
#define OPERATION2 OPERATION
#define OPERATION3 OPERATION
#define OPERATION4 OPERATION
#include "testing/operations.h"
  kCount
};

enum class Space : uint8_t { kGlobal, kShared, kParameter, kGeneric };

constexpr uint32_t kNoRegister = ~0u;

// A register is named by its bytes before it, in one lane; constants and the numbers of the thread
// are registers, too.
struct Instruction {
  Operation operation;
  Space space;              // of a load or a store,
  uint8_t count, bytes;     // and its values: how many, the bytes of each in memory
  uint8_t register_bytes;   // and in its register;
  uint8_t address_bytes;    // those of the register of its address
  uint8_t guarded_by_zero;  // runs where the guard is 0, not where it is 1
  uint32_t line;            // of the PTX, for messages
  uint32_t guard;           // or kNoRegister
  uint32_t registers[5];    // result, operands; of a load or a store: its values, the address last
  int64_t immediate;        // what is added to an address, or where a branch leads
};

struct Constant {
  uint32_t at, bytes;
  uint64_t value;
};

struct Parameter {
  int32_t offset, bytes;
};

struct Kernel {
  std::string name;
  std::vector<Instruction> instructions;
  std::vector<Constant> constants;
  std::vector<Parameter> parameters;
  int64_t parameter_bytes, static_shared_bytes, dynamic_shared_offset;
  int64_t lane_bytes;  // of all registers
  int64_t most_threads;
  bool has_barrier;
  bool reads_sums;  // uses what an atomic addition has found
  // Registers of the thread's place: tid, ctaid, ntid, nctaid.
  uint32_t places[4];
};

}  // namespace emulation
}  // namespace winit_cuda
