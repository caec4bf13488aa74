#pragma once

#include <cstdint>

namespace tern::net {

/// Detects whether this process is a child of the process that created the mark. The check makes no
/// system call. Thread: any for in_child(); one for all other calls.
class ForkMark {
 public:
  ForkMark() noexcept;
  ForkMark(const ForkMark&) = delete;
  ForkMark& operator=(const ForkMark&) = delete;
  ~ForkMark();

  /// Returns whether a fork() happened after the constructor and the last renew().
  bool in_child() const noexcept { return page_ != nullptr ? *page_ == 0 : is_other_process(); }
  /// Makes this process the owner of the mark.
  void renew() noexcept;

 private:
  bool is_other_process() const noexcept;

  volatile std::uint8_t* page_ = nullptr;  // null: the kernel cannot wipe pages; process_ is used
  int process_;
};

}  // namespace tern::net
