// The body of an answer that is read from its source while the peer takes it.
#pragma once

#include "engine/outbound.h"
#include "http/body_source.h"
#include "http/response.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tern::engine {

class PulledBody {
 public:
  /// `form` is not BodyForm::none.
  PulledBody(std::shared_ptr<http::BodySource> source, http::BodyForm form) noexcept;

  /// Returns whether the body was appended as a whole. A body of size 0 is so from the beginning.
  bool complete() const noexcept { return complete_; }
  /// Reads the source once and appends what it gave. Throws what the source throws, std::bad_alloc,
  /// and std::length_error if the source ended before the size that it had stated. Then the peer
  /// must not take the body for complete.
  void pull(Outbound& out);

 private:
  void pull_chunk(Outbound& out);
  void pull_plain(Outbound& out);

  std::shared_ptr<http::BodySource> source_;
  std::uint64_t left_;  // of a body with a size
  http::BodyForm form_;
  bool complete_;
};

}  // namespace tern::engine
