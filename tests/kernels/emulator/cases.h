// Cases of a test program: `program --list` names them, `program NAME` runs one.
//
//   TEST(name) { expect(...); }              must end well, in silence
//   TELLS(name, "part of the message") { }   must end well and print this
//   FAILS(name, "part of the message") { }   must end the program, or make the checker report
#pragma once

#include <cstdio>
#include <cstring>
#include <random>
#include <source_location>
#include <vector>

#include "gpu.h"

struct Case {
  const char* name;
  const char* outcome;  // "succeeds" or "fails"
  const char* message;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

struct Registration {
  explicit Registration(Case test) { cases().push_back(test); }
};

#define CASE(name, outcome, message)                                                \
  static void name##_case();                                                        \
  static const Registration name##_registration({#name, outcome, message, name##_case}); \
  static void name##_case()

#define TEST(name) CASE(name, "succeeds", "")
#define TELLS(name, message) CASE(name, "succeeds", message)
#define FAILS(name, message) CASE(name, "fails", message)

inline bool all_as_expected = true;

inline void expect(bool is_so, const char* what, std::source_location site = std::source_location::current()) {
  if (is_so) return;
  all_as_expected = false;
  printf("%s:%u: wanted: %s\n", site.file_name(), unsigned(site.line()), what);
}

// An array on the device, and its values on the host.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    expect(cudaMalloc(reinterpret_cast<void**>(&memory_), count * sizeof(T)) == cudaSuccess, "memory");
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    cudaMemcpy(memory_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice);
  }
  ~DeviceArray() { cudaFree(memory_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* get() { return memory_; }

  std::vector<T> values() const {
    std::vector<T> values(count_);
    cudaMemcpy(values.data(), memory_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
    return values;
  }

 private:
  T* memory_ = nullptr;
  size_t count_;
};

// Small multiples of 1/8, whose products and sums are exact.
inline std::vector<__nv_bfloat16> exact_values(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<__nv_bfloat16> values(count);
  for (__nv_bfloat16& value : values) value = __float2bfloat16_rn(float(int(random() % 33) - 16) / 8);
  return values;
}

int main(int count, char** arguments) {
  if (count != 2) return 2;
  for (const Case& test : cases()) {
    if (strcmp(arguments[1], "--list") == 0) printf("%s\t%s\t%s\n", test.name, test.outcome, test.message);
    if (strcmp(arguments[1], test.name) != 0) continue;
    test.run();
    return all_as_expected && emulator_check_errors() == 0 ? 0 : 1;
  }
  return strcmp(arguments[1], "--list") == 0 ? 0 : 2;
}
