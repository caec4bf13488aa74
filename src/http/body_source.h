// A body that is read while the peer takes it, instead of being in memory as a whole.
#pragma once

#include "tern/unique_function.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace tern::http {

/// The body of a Response, in parts. The loop of the connection reads it when there is room for
/// output. So the functions of a source must not wait.
class BodySource {
 public:
  BodySource() noexcept = default;
  BodySource(const BodySource&) = delete;
  BodySource& operator=(const BodySource&) = delete;
  virtual ~BodySource() = default;

  /// Returns the number of bytes of the whole body, or nothing if it is not known.
  virtual std::optional<std::uint64_t> size() const noexcept = 0;
  /// Writes the next bytes to the front of `into`, which has room for at least one byte. Returns
  /// how many it wrote, or nothing at the end of the body. 0: there is none now; the caller tries
  /// again in a later turn. Throws if the body cannot go on. Then it is not read again.
  virtual std::optional<std::size_t> read(std::span<std::byte> into) = 0;
};

/// The body of Response::stream(): the pieces that a function returns.
class StreamSource final : public BodySource {
 public:
  using Next = UniqueFunction<std::optional<std::string>()>;

  explicit StreamSource(Next next) noexcept;

  std::optional<std::uint64_t> size() const noexcept override { return {}; }
  /// Calls the function at most once, and only after all bytes of the piece before were read.
  std::optional<std::size_t> read(std::span<std::byte> into) override;

 private:
  Next next_;
  std::string piece_{};
  std::size_t taken_ = 0;  // bytes of piece_ that were read
};

}  // namespace tern::http
