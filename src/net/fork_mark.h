#pragma once

#include <cstdint>

namespace tern::net {

/// Tells whether this process is a child of the one that made the mark. To ask costs no system
/// call. Thread: any for in_child(); one for all else.
class ForkMark {
 public:
  ForkMark() noexcept;
  ForkMark(const ForkMark&) = delete;
  ForkMark& operator=(const ForkMark&) = delete;
  ~ForkMark();

  /// Whether a fork() lies between the constructor, or the last renew(), and now.
  bool in_child() const noexcept { return page_ != nullptr ? *page_ == 0 : is_other_process(); }
  /// From now on the mark belongs to this process.
  void renew() noexcept;

 private:
  bool is_other_process() const noexcept;

  volatile std::uint8_t* page_ = nullptr;  // null: the kernel cannot do it, process_ tells
  int process_;
};

}  // namespace tern::net
