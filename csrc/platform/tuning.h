// What was tuned by measuring, in one place: grains, thresholds of waking, launch sizes. None of it
// changes a value. Names say the unit.
#pragma once

#include <cstdint>

namespace winit_cuda {
namespace tuning {

// ------------------------------------------------------------------------- threads of the CPU

// Below this many elements a thread, waking it costs more than it saves.
constexpr int64_t kGrainElements = int64_t{1} << 15;
// How many ranges a thread gets, if all come at once.
constexpr int64_t kRangesPerThread = 8;
// The longest range: a tenth of a second where elements are slow.
constexpr int64_t kGrainsPerRange = 64;
// How often a thread looks whether there was a Ctrl-C, and how soon a system that had no thread to
// give is asked for one again.
constexpr int kListenMilliseconds = 100, kStartAgainMilliseconds = 1000;
// Waking a thread that sleeps can take as long as filling 100,000 elements. Models are made of many
// fills in a row, so a worker looks out for the next one for a while before it sleeps; and sleepers
// are woken for much work only, or for the second of two jobs that come soon after each other.
constexpr int kLookOutMicroseconds = 50, kSoonMicroseconds = 300;
constexpr int64_t kGrainsWorthWaking = 16;
constexpr int kPausesBetweenLooks = 32;
// So few elements are written sooner than the interpreter's lock is handed over and taken back.
constexpr int64_t kLockedElements = 1024;

// ------------------------------------------------------------------------- fills on the CPU

// From some size on a tensor does not fit the caches anyway: random values are written around them.
constexpr int64_t kStreamedBytes = int64_t{8} << 20;
// Less than this is in a core's own caches: to fetch it first is work for nothing.
constexpr int64_t kFetchedBytes = int64_t{1} << 19;
// A list's unit of work is a random element, or this many constant ones: they are so much faster.
constexpr int64_t kConstantsPerUnit = 8;

// ------------------------------------------------------------------------- sparse, on the CPU

// Elements that take as long as waking several threads.
constexpr int64_t kSparseElementsWorthWaking = int64_t{1} << 17;
// So many parts a thread, and each part is one thread's work.
constexpr int64_t kSparsePartsPerThread = 2;
// Fewer groups of tiles leave threads without work at the end.
constexpr int64_t kTileGroupsPerThread = 4;
// Where there is much to do, threads without a tile idle. The other way has work for all, but makes
// the words twice: it is taken where less than this share of the threads would be busy.
constexpr double kLeastBusyShare = 0.6;

// ------------------------------------------------------------------------- orthogonal, on the CPU

// Up to this many multiplications (rows * columns * the smaller of them) one reflector after the
// other is done first: 32 x 32.
constexpr int64_t kFewMultiplications = int64_t{1} << 15;
// So many take as long as waking threads several times: a matrix of 128 x 128.
constexpr double kMultiplicationsWorthWaking = 2e6;
// Panels and strips together take at most so many times the tensor, but for what the smallest
// matrices need.
constexpr int64_t kWorkspacePerTensor = 2, kLeastWorkspaceBytes = int64_t{1} << 20;
// Strips that are begun, multiplied and written together, a unit: they share what the caches hold.
constexpr int64_t kStripsPerUnit = 4;
// So many units a thread, where there are enough strips.
constexpr int64_t kUnitsPerThread = 4;
// Panels made at a time where not all have room.
constexpr int64_t kPanelsTogether = 4;
// So many stretches of lines, and what is done with them then, take as long as waking threads
// several times.
constexpr int64_t kStretchesWorthWaking = 4;
// A thread takes a huge page's worth of stretches at a time where there are enough: two threads
// that meet in a page that is new would both clear it.
constexpr int64_t kStretchesTogether = 16;

// ------------------------------------------------------------------------- launches on CUDA

// What benchmarks/gpu/tune tries other values of; a build takes them from the CMake variable
// WINIT_TUNING.
#if !defined(WINIT_TUNE_FILL_THREADS)
#define WINIT_TUNE_FILL_THREADS 256
#endif
#if !defined(WINIT_TUNE_FILL_WORD_BLOCKS)
#define WINIT_TUNE_FILL_WORD_BLOCKS 4
#endif
#if !defined(WINIT_TUNE_STORE_BYTES)
#define WINIT_TUNE_STORE_BYTES 16
#endif
#if !defined(WINIT_TUNE_LIST_THREADS)
#define WINIT_TUNE_LIST_THREADS 256
#endif
#if !defined(WINIT_TUNE_LIST_BLOCKS_PER_PROCESSOR)
#define WINIT_TUNE_LIST_BLOCKS_PER_PROCESSOR 2
#endif
#if !defined(WINIT_TUNE_LIST_WORD_BLOCKS)
#define WINIT_TUNE_LIST_WORD_BLOCKS 8
#endif

// Threads of a block, by kernel.
constexpr int kFillThreads = WINIT_TUNE_FILL_THREADS, kListThreads = WINIT_TUNE_LIST_THREADS;
constexpr int kSelectionThreads = 512;
constexpr int kBatchThreads = 512;  // 2 lanes of 256 columns
// Blocks of words that a thread of a fill makes at once, and the bytes that it stores at once.
constexpr int kFillWordBlocksInFlight = WINIT_TUNE_FILL_WORD_BLOCKS;
constexpr int kStoreBytes = WINIT_TUNE_STORE_BYTES;
// Blocks of a list's kernel that a multiprocessor holds. Two leave each thread 128 registers; asked
// for three, 80, the compiler spills the float64 laws.
constexpr int kListBlocksPerProcessor = WINIT_TUNE_LIST_BLOCKS_PER_PROCESSOR;
// What a thread of a list's kernel gets: blocks of words, or stores of 16 bytes.
constexpr int64_t kListWordBlocksPerThread = WINIT_TUNE_LIST_WORD_BLOCKS;
constexpr int64_t kListStoresPerThread = 8;

}  // namespace tuning
}  // namespace winit_cuda
