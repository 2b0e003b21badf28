// What the maps of csrc/values make of all 2^32 words, through the lanes of one instruction set.
//
//   every_word accuracy FIRST LAST THREADS   normal float32 against the quantile in float64
//   every_word rounding FIRST LAST THREADS   float32 to the short types, every finite value
//   every_word bounds   FIRST LAST THREADS   uniform_(0, 1) in the short types against float32
//   every_word hash     FIRST LAST THREADS   a hash of the values of each law
//
// FIRST and LAST are percent of the words. every_word.py compiles and runs it.
#include WINIT_ISA_HEADER

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "fill/lanes.h"
#include "values/distributions.h"

namespace winit_cuda {
namespace {

using L = IsaLanes;
constexpr int kTogether = 64;
using Values = float[kTogether];

// The values of consecutive words.
template <class Map>
void make(const Map& map, uint32_t first, Values& values) {
  uint32_t words[kTogether];
  for (int i = 0; i < kTogether; ++i) words[i] = first + static_cast<uint32_t>(i);
  const auto word = [&](int i) {
    typename L::U lanes;
    std::memcpy(&lanes, words + i * L::kLanes, sizeof(lanes));
    return lanes;
  };
  simd::map_words<kTogether / L::kLanes>(
      map, word, [&](int i, typename L::F value) { L::store(values + i * L::kLanes, value); });
}

// Calls visit(map, first word) for each group of words from begin to before end.
template <class Visit>
void for_words(const Law& law, uint64_t begin, uint64_t end, const Visit& visit) {
  with_map<L>(law.distribution, [&](auto type) {
    using Map = typename decltype(type)::type;
    const Map map(law.numbers_of<Map>());
    for (uint64_t word = begin; word < end; word += kTogether)
      visit(map, static_cast<uint32_t>(word));
  });
}

// A part of the words for each thread; `work(begin, end)` makes a Result, and they are added up.
template <class Result, class Work>
Result divided(uint64_t begin, uint64_t end, int threads, const Work& work) {
  std::vector<Result> results(static_cast<size_t>(threads));
  std::vector<std::thread> running;
  const uint64_t part = (end - begin) / static_cast<uint64_t>(threads) / kTogether * kTogether;
  for (int i = 0; i < threads; ++i)
    running.emplace_back([&, i] {
      const uint64_t from = begin + static_cast<uint64_t>(i) * part;
      results[static_cast<size_t>(i)] = work(from, i + 1 == threads ? end : from + part);
    });
  Result sum{};
  for (int i = 0; i < threads; ++i) {
    running[static_cast<size_t>(i)].join();
    sum.add(results[static_cast<size_t>(i)]);
  }
  return sum;
}

// -------------------------------------------------------------------------------------- accuracy

struct Accuracy {
  double worst = 0;  // in ulp of the value
  uint32_t word = 0;
  uint64_t asymmetric = 0;
  void add(const Accuracy& other) {
    asymmetric += other.asymmetric;
    if (other.worst > worst) {
      worst = other.worst;
      word = other.word;
    }
  }
};

// How far a value is from the quantile of u = 1/2 + v / 2^32, v > 0: what the distribution function
// of the value lacks, over the density. Newton's step, whose own error is of second order.
double distance_in_ulp(float value, uint32_t v) {
  const double z = value, root_half = 0.70710678118654752440;
  double lacking;
  if (v < 0x40000000u)
    lacking = 0.5 * std::erf(z * root_half) - std::ldexp(static_cast<double>(v), -32);
  else  // from the end, where nothing cancels
    lacking =
        std::ldexp(static_cast<double>(0x80000000u - v), -32) - 0.5 * std::erfc(z * root_half);
  const double density = 0.39894228040143267794 * std::exp(-0.5 * z * z);
  const float next = float_of(bits_of(value) + 1);
  return std::fabs(lacking / density) / (static_cast<double>(next) - z);
}

Accuracy accuracy(uint64_t begin, uint64_t end) {
  Accuracy found;
  for_words(normal_law(DType::kFloat32, 0, 1).law, begin, end, [&](const auto& map, uint32_t v) {
    Values positive, negative;
    make(map, v, positive);
    make(map, 0u - v - (kTogether - 1), negative);
    for (int i = 0; i < kTogether; ++i) {
      const uint32_t own = v + static_cast<uint32_t>(i);
      const float mirrored = negative[kTogether - 1 - i];
      found.asymmetric += own != 0 && positive[i] != -mirrored;
      if (own == 0) {
        found.asymmetric += positive[i] != 0;
        continue;
      }
      const double ulp = distance_in_ulp(positive[i], own);
      if (!(ulp <= found.worst)) {
        found.worst = ulp;
        found.word = own;
      }
    }
  });
  return found;
}

// -------------------------------------------------------------------------------------- rounding

struct Wrong {
  uint64_t checked = 0, wrong = 0;
  void add(const Wrong& other) {
    checked += other.checked;
    wrong += other.wrong;
  }
};

// The non-negative value of a short type.
template <class T>
double decoded(uint32_t bits) {
  constexpr int kBias = (1 << (T::kExponentBits - 1)) - 1;
  const uint32_t exponent = bits >> T::kMantissaBits;
  const uint32_t mantissa = bits & ((1u << T::kMantissaBits) - 1);
  const uint32_t hidden = exponent ? 1u << T::kMantissaBits : 0;
  const int scale = static_cast<int>(exponent ? exponent : 1) - kBias - T::kMantissaBits;
  return std::ldexp(static_cast<double>(mantissa | hidden), scale);
}

// The nearest multiple of the spacing, the even one of two: float64 does that when the magnitude of
// a sum has the spacing of one.
template <class T>
double nearest(float value) {
  constexpr int kLeastExponent = 2 - (1 << (T::kExponentBits - 1));
  const int exponent = std::max(static_cast<int>(bits_of(value) >> 23) - 127, kLeastExponent);
  const double spacing = std::ldexp(1.0, exponent - T::kMantissaBits);
  const double multiple = static_cast<double>(value) / spacing;
  volatile double anchored = multiple + 0x1p52;
  return (anchored - 0x1p52) * spacing;
}

template <class T>
Wrong rounding_of(uint64_t begin, uint64_t end) {
  constexpr int kSignShift = T::kExponentBits + T::kMantissaBits;
  const double largest = decoded<T>(T::kLargest);
  Wrong found;
  for (uint64_t i = begin; i < end; ++i) {
    const float value = float_of(static_cast<uint32_t>(i));
    if (!(static_cast<double>(value) <= largest)) break;
    const uint32_t bits = round_to<T>(value).bits, opposite = round_to<T>(-value).bits;
    ++found.checked;
    found.wrong += decoded<T>(bits) != nearest<T>(value) || opposite != (bits | 1u << kSignShift);
  }
  return found;
}

// The lanes' rounding of 16-bit types, against the plain one.
template <class T, class Lanes>
Wrong lanes_rounding_of(uint64_t begin, uint64_t end) {
  Wrong found;
  if constexpr (Lanes::kLanes > 1 && sizeof(T) == 2) {
    const double largest = decoded<T>(T::kLargest);
    constexpr int kPair = 2 * Lanes::kLanes;
    for (uint64_t i = begin; i < end; i += kPair) {
      float values[kPair];
      uint16_t rounded[kPair];
      for (int j = 0; j < kPair; ++j) values[j] = float_of(static_cast<uint32_t>(i) + j);
      if (!(static_cast<double>(values[kPair - 1]) <= largest)) break;
      typename Lanes::F first, second;
      std::memcpy(&first, values, sizeof(first));
      std::memcpy(&second, values + Lanes::kLanes, sizeof(second));
      if constexpr (std::is_same_v<T, Half>)
        Lanes::store_pair(rounded, Lanes::round_to_half(first, second));
      else
        Lanes::store_pair(rounded, Lanes::round_to_bfloat16(first, second));
      for (int j = 0; j < kPair; ++j) found.wrong += rounded[j] != round_to<T>(values[j]).bits;
      found.checked += kPair;
    }
  }
  return found;
}

// ---------------------------------------------------------------------------------------- bounds

// A short uniform_(0, 1) is the rounded float32 one; where that is 1, the largest value below.
template <class T>
Wrong bounds_of(DType dtype, uint64_t begin, uint64_t end) {
  const Law wide = uniform_law(DType::kFloat32, 0, 1).law, own = uniform_law(dtype, 0, 1).law;
  const uint32_t one = round_to<T>(1.0f).bits;
  Wrong found;
  const UniformMap<L> own_map(own.numbers_of<UniformMap<L>>());
  for_words(wide, begin, end, [&](const auto& map, uint32_t word) {
    Values float32, short_ones;
    make(map, word, float32);
    make(own_map, word, short_ones);
    for (int i = 0; i < kTogether; ++i) {
      const uint32_t rounded = round_to<T>(float32[i]).bits;
      const uint32_t expected = rounded == one ? one - 1 : rounded;
      found.wrong += round_to<T>(short_ones[i]).bits != expected || expected >= one;
    }
    found.checked += kTogether;
  });
  return found;
}

// ------------------------------------------------------------------------------------------ hash

// A sum of odd multiples: one value that differs changes it.
struct Hash {
  uint64_t sum = 0;
  void add(const Hash& other) { sum += other.sum; }
};

Hash hash_of(const Law& law, uint64_t begin, uint64_t end) {
  Hash found;
  for_words(law, begin, end, [&](const auto& map, uint32_t word) {
    Values values;
    make(map, word, values);
    for (int i = 0; i < kTogether; ++i)
      found.sum +=
          uint64_t{bits_of(values[i])} * (2 * (uint64_t{word} + static_cast<uint64_t>(i)) + 1);
  });
  return found;
}

struct NamedHash {
  const char* name;
  OwnedLaw made;
};

// ------------------------------------------------------------------------------------------- main

template <class T>
void report(const char* name, const Wrong& found) {
  std::printf("%s\t%llu\t%llu\n", name, static_cast<unsigned long long>(found.checked),
              static_cast<unsigned long long>(found.wrong));
}

template <class T>
void check_rounding(const char* name, uint64_t begin, uint64_t end, int threads) {
  report<T>(name, divided<Wrong>(begin, end, threads, rounding_of<T>));
  if (L::kLanes > 1 && sizeof(T) == 2)
    report<T>((std::string(name) + " by lanes").c_str(),
              divided<Wrong>(begin, end, threads, lanes_rounding_of<T, L>));
}

template <class T>
void check_bounds(const char* name, DType dtype, uint64_t begin, uint64_t end, int threads) {
  report<T>(name, divided<Wrong>(begin, end, threads, [&](uint64_t from, uint64_t to) {
              return bounds_of<T>(dtype, from, to);
            }));
}

int run(const std::string& mode, uint64_t first, uint64_t last, int threads) {
  const auto share = [&](uint64_t percent, uint64_t of) {
    return percent == 100 ? of : of / 100 * percent / kTogether * kTogether;
  };
  const uint64_t half = uint64_t{1} << 31, all = uint64_t{1} << 32;
  const uint64_t begin = share(first, all), end = share(last, all);
  const uint64_t half_begin = share(first, half), half_end = share(last, half);
  if (mode == "accuracy") {
    const Accuracy found = divided<Accuracy>(half_begin, half_end, threads, accuracy);
    std::printf("ulp\t%.6f\nword\t%u\nasymmetric\t%llu\n", found.worst, found.word,
                static_cast<unsigned long long>(found.asymmetric));
  } else if (mode == "rounding") {
    check_rounding<Half>("float16", half_begin, half_end, threads);
    check_rounding<BFloat16>("bfloat16", half_begin, half_end, threads);
    check_rounding<Float8E4M3FN>("float8_e4m3fn", half_begin, half_end, threads);
    check_rounding<Float8E5M2>("float8_e5m2", half_begin, half_end, threads);
  } else if (mode == "bounds") {
    check_bounds<Half>("float16", DType::kFloat16, begin, end, threads);
    check_bounds<BFloat16>("bfloat16", DType::kBFloat16, begin, end, threads);
    check_bounds<Float8E4M3FN>("float8_e4m3fn", DType::kFloat8E4M3FN, begin, end, threads);
    check_bounds<Float8E5M2>("float8_e5m2", DType::kFloat8E5M2, begin, end, threads);
  } else if (mode == "hash") {
    const DType dtype = DType::kFloat32;
    const NamedHash laws[] = {
        {"uniform(0, 1)", uniform_law(dtype, 0, 1)},
        {"normal(0, 1)", normal_law(dtype, 0, 1)},
        {"trunc_normal(0, 1, -2, 2)", trunc_normal_law(dtype, 0, 1, -2, 2)},
        {"trunc_normal(0, 1, -1, 3)", trunc_normal_law(dtype, 0, 1, -1, 3)},
        {"trunc_normal(0, 1, 1, 4)", trunc_normal_law(dtype, 0, 1, 1, 4)},
    };
    for (const auto& [name, made] : laws) {
      const Hash found = divided<Hash>(
          begin, end, threads,
          [&, &own = made](uint64_t a, uint64_t b) { return hash_of(own.law, a, b); });
      std::printf("%s\t%016llx\n", name, static_cast<unsigned long long>(found.sum));
    }
  } else {
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace winit_cuda

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  return winit_cuda::run(argv[1], std::strtoull(argv[2], nullptr, 10),
                         std::strtoull(argv[3], nullptr, 10), std::atoi(argv[4]));
}
