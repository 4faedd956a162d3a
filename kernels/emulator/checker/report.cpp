// Reports: an address of the program becomes a line of the source by addr2line.
#include "report.h"

#include <dlfcn.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "../engine.h"
#include "../launch.h"

namespace emulator::check {

namespace {

size_t errors = 0;
std::set<std::string> reported;

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return output;
  char line[1024];
  while (fgets(line, sizeof line, pipe)) output += line;
  pclose(pipe);
  return output;
}

// Whether a call, "function at file:line", stands in a file of the emulator.
bool is_own(const std::string& call) {
  using std::filesystem::weakly_canonical;
  static const std::string folder = weakly_canonical(__FILE__).parent_path().parent_path().string() + "/";
  const size_t start = call.rfind(" at ");
  if (start == std::string::npos) return true;
  const std::string file = call.substr(start + 4, call.rfind(':') - start - 4);
  return file == "??" || weakly_canonical(file).string().starts_with(folder);
}

// Of a call and the calls that it was inlined into, the first that is not the emulator's.
std::string first_outside(const std::string& calls) {
  std::istringstream lines(calls);
  const std::string inlined = " (inlined by) ";
  for (std::string call; std::getline(lines, call);) {
    if (call.starts_with(inlined)) call.erase(0, inlined.size());
    if (!is_own(call)) return call.substr(0, call.find(" (discriminator"));
  }
  return "";
}

std::string describe_call(void* return_address) {
  Dl_info module{};
  if (!dladdr(return_address, &module) || !module.dli_fname) return "an unknown place";
  // The call ends one byte before its return address.
  const size_t offset = static_cast<char*>(return_address) - static_cast<char*>(module.dli_fbase) - 1;
  char address[32];
  snprintf(address, sizeof address, "%#zx", offset);
  const std::string file = module.dli_fname;
  const std::string call = first_outside(output_of("addr2line -Cfpi -e '" + file + "' " + address + " 2>/dev/null"));
  return call.empty() ? file + "+" + address : call;
}

std::string describe(Place place) {
  if (place.site) return std::string(place.site->file_name()) + ":" + std::to_string(place.site->line());
  static std::map<void*, std::string> known;
  std::string& text = known[place.return_address];
  if (text.empty()) text = describe_call(place.return_address);
  return text;
}

void print(const char* fault, const void* memory, Place place, const Access* other) {
  errors++;
  const std::string where = describe(place);
  if (!reported.insert(fault + where).second) return;
  const Allocation allocation = allocation_before(memory);
  fprintf(stderr, "checker: %s: %s: ", where.c_str(), fault);
  if (allocation.bytes > 0) {
    fprintf(stderr, "byte %td of %zu", static_cast<const char*>(memory) - allocation.start, allocation.bytes);
  } else {
    fprintf(stderr, "address %p, which is in no allocation", memory);
  }
  if (current) {
    fprintf(stderr, ", block (%u, %u, %u) thread %u", block_index.x, block_index.y, block_index.z, current->linear);
  }
  if (other) fprintf(stderr, ", against block number %u thread %u", unsigned(other->block), unsigned(other->thread));
  fputc('\n', stderr);
}

}  // namespace

void report(const char* fault, const void* memory, Place place) { print(fault, memory, place, nullptr); }

void report_race(const char* fault, const void* memory, Place place, Access other) {
  print(fault, memory, place, &other);
}

}  // namespace emulator::check

size_t emulator_check_errors() { return emulator::check::errors; }
