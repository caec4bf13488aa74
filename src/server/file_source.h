// The bytes of a file as the body of an answer.
#pragma once

#include "http/body_source.h"
#include "net/fd.h"
#include "net/folder.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace tern::server {

/// Reads a part of an open file. If the file is not the same any more after a read, what was read
/// is not used: read() throws, and its text names the file.
class FileSource final : public http::BodySource {
 public:
  /// The part begins at `first`, has `length` bytes and lies in a file with these facts. `name` is
  /// for people.
  FileSource(net::Fd file, const net::FileFacts& facts, std::uint64_t first, std::uint64_t length,
             std::string name) noexcept;

  std::optional<std::uint64_t> size() const noexcept override { return length_; }
  std::optional<std::size_t> read(std::span<std::byte> into) override;

 private:
  net::Fd file_;
  net::FileFacts facts_;
  std::uint64_t at_;
  std::uint64_t length_;
  std::uint64_t left_;
  std::string name_;
};

}  // namespace tern::server
