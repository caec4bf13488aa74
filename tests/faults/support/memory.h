// The memory and descriptors of a process: heap bytes of this one, resident memory and descriptors
// of any.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <malloc.h>
#include <string>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TERN_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TERN_TEST_SANITIZED 1
#endif
#if __has_feature(thread_sanitizer)
#define TERN_TEST_THREAD_SANITIZED 1
#endif
#endif
#ifdef TERN_TEST_SANITIZED
#include <sanitizer/allocator_interface.h>
#endif

namespace tern::test {

#ifdef TERN_TEST_SANITIZED
constexpr bool sanitized = true;  // memory and times are larger, because of the sanitizer
#else
constexpr bool sanitized = false;
#endif

/// The number of allocated bytes, in all threads of this process.
inline std::size_t heap_in_use() {
#ifdef TERN_TEST_SANITIZED
  return __sanitizer_get_current_allocated_bytes();
#else
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

/// A number of /proc/<pid>/status, for example "VmRSS:" in KiB; 0 if the process has ended.
inline std::size_t status_of(pid_t pid, const std::string& key) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string word;
  for (std::size_t value = 0; status >> word;) {
    if (word == key && status >> value) return value;
  }
  return 0;
}
inline std::size_t resident_bytes(pid_t pid) { return status_of(pid, "VmRSS:") * 1024; }

/// The number of descriptors that a process has open.
inline std::size_t descriptors_of(pid_t pid) {
  std::size_t count = 0;
  std::error_code error;
  const std::string path = "/proc/" + std::to_string(pid) + "/fd";
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path, error)) {
    ++count;
  }
  return count;
}

/// The state of a process: "R" for running, "S" for sleeping, "T" for stopped and so on; empty if
/// there is no such process.
inline std::string state_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string word;
  while (status >> word) {
    if (word == "State:" && status >> word) return word;
  }
  return {};
}

}  // namespace tern::test
