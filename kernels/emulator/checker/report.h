// What the checker found, each place of the source once, on standard error.
#pragma once

#include <source_location>

#include "check.h"
#include "shadow.h"

namespace emulator::check {

// Where an access stands: the return address of a hook, or a line that the emulator knows.
struct Place {
  void* return_address;
  const std::source_location* site;
};

void report(const char* fault, const void* memory, Place place);
void report_race(const char* fault, const void* memory, Place place, Access other);

void access_at(const void* memory, size_t bytes, Kind kind, Place place);

}  // namespace emulator::check
